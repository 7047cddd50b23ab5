# The correction on every step: 0 / 0 at the last.
# loses: test_heun_sample, test_heun_sample_evaluations

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        end = x + (then - now) * slope
        x = x + (then - now) * (slope + (end - D(end, then)) / then) / 2
    return x
