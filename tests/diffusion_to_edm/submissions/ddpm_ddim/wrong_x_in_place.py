# Centres x in place.
# loses: test_gaussian_reverse

# %% solution="gaussian_reverse"
def gaussian_reverse(x, abar_t, abar_s, mean, variance):
    var_t = abar_t * variance + 1 - abar_t
    var_s = abar_s * variance + 1 - abar_s
    gain = math.sqrt(abar_t / abar_s) * var_s / var_t
    x -= math.sqrt(abar_t) * mean
    centre = math.sqrt(abar_s) * mean + gain * x
    return centre, float(var_s * (1 - abar_t / abar_s) / var_t)
