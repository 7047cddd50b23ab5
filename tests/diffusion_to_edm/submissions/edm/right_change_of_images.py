# Euler's end plus a multiple of the change of the denoised image.
# keeps: all

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    levels = sigmas.tolist()
    for now, then in zip(levels[:-1], levels[1:]):
        clean = D(x, now)
        x = clean + then / now * (x - clean)
        if then > 0:
            x = x + (now / then - 1) / 2 * (D(x, then) - clean)
    return x
