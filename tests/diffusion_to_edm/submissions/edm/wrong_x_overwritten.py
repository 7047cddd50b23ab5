# Right, and works in the learner's x.
# loses: test_heun_sample

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        x += (then - now) * slope
        if then > 0:
            x += (then - now) * ((x - D(x, then)) / then - slope) / 2
    return x
