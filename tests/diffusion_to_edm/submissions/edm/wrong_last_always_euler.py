# The last step is Euler's even where it ends above 0.
# loses: test_heun_sample, test_heun_sample_evaluations

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        end = x + (then - now) * slope
        if i < len(sigmas) - 2:
            slope = (slope + (end - D(end, then)) / then) / 2
            end = x + (then - now) * slope
        x = end
    return x
