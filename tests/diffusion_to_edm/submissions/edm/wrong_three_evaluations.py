# The first slope computed twice.
# loses: test_heun_sample_evaluations

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        end = x + (then - now) * (x - D(x, now)) / now
        if then > 0:
            slope = ((x - D(x, now)) / now + (end - D(end, then)) / then) / 2
            end = x + (then - now) * slope
        x = end
    return x
