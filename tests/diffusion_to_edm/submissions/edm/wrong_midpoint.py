# The midpoint rule: second order, but another method.
# loses: test_heun_sample, test_heun_sample_evaluations

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        if then > 0:
            half = (now + then) / 2
            middle = x + (half - now) * slope
            slope = (middle - D(middle, half)) / half
        x = x + (then - now) * slope
    return x
