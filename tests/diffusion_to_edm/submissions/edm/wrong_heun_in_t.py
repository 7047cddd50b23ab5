# Heun's rule in flow matching's time.
# loses: test_heun_sample

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        clean = D(x, now)
        end = clean + then / now * (x - clean)
        if then > 0:
            weight = (now / then - 1) / 2 * (1 + then) / (1 + now)
            end = end + weight * (D(end, then) - clean)
        x = end
    return x
