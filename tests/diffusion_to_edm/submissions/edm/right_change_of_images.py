# Euler's end plus a multiple of the change of the denoised image.
# keeps: all

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    levels = sigmas.tolist()
    for i, then in enumerate(levels[1:]):
        now = levels[i]
        clean = D(x, now)
        x = clean + then / now * (x - clean)
        if then > 0:
            x = x + (now / then - 1) / 2 * (D(x, then) - clean)
    return x
