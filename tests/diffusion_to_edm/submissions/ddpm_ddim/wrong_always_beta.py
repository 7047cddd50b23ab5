# The variance of unit data whatever the data.
# loses: test_gaussian_reverse

# %% solution="gaussian_reverse"
def gaussian_reverse(x, abar_t, abar_s, mean, variance):
    var_t = abar_t * variance + 1 - abar_t
    var_s = abar_s * variance + 1 - abar_s
    gain = math.sqrt(abar_t / abar_s) * var_s / var_t
    centre = math.sqrt(abar_s) * mean + gain * (x - math.sqrt(abar_t) * mean)
    return centre, float(1 - abar_t / abar_s)
