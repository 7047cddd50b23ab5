# Averages Euler's end with a further step on from it.
# loses: test_heun_sample

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        end = x + (then - now) * slope
        if then > 0:
            second = (end - D(end, then)) / then
            end = (end + (end + (then - now) * second)) / 2
        x = end
    return x
