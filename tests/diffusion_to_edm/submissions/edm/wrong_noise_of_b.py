# c_noise from the noise of x_t instead of that of x_t / a.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    variance = (a * sigma_data) ** 2 + b**2

    c_skip = a * sigma_data**2 / variance
    return c_skip, b * sigma_data / variance.sqrt(), variance.rsqrt(), b.log() / 4
