# The mean of both denoised images: Heun's rule in 1 / sigma.
# loses: test_heun_sample

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        clean = D(x, now)
        end = clean + then / now * (x - clean)
        if then > 0:
            clean = (clean + D(end, then)) / 2
            end = clean + then / now * (x - clean)
        x = end
    return x
