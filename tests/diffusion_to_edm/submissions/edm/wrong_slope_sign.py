# The slope with the sign of the score.
# loses: test_heun_sample

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (D(x, now) - x) / now
        end = x + (then - now) * slope
        if then > 0:
            slope = (slope + (D(end, then) - end) / then) / 2
            end = x + (then - now) * slope
        x = end
    return x
