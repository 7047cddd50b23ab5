# The second slope alone.
# loses: test_heun_sample

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        end = x + (then - now) * slope
        if then > 0:
            end = x + (then - now) * (end - D(end, then)) / then
        x = end
    return x
