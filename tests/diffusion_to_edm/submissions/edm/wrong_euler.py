# Euler's rule.
# loses: test_heun_sample, test_heun_sample_evaluations

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        x = x + (then - now) * (x - D(x, now)) / now
    return x
