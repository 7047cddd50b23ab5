# Averages Euler's end with a full step along the second slope from the old x.
# keeps: all

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        end = x + (then - now) * (x - D(x, now)) / now
        if then > 0:
            other = x + (then - now) * (end - D(end, then)) / then
            end = (end + other) / 2
        x = end
    return x
