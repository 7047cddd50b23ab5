# Corrects the last step with an epsilon in place of 0.
# loses: test_heun_sample, test_heun_sample_evaluations

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        slope = (x - D(x, now)) / now
        end = x + (then - now) * slope
        low = then.clamp_min(1e-3)
        slope = (slope + (end - D(end, low)) / low) / 2
        x = x + (then - now) * slope
    return x
