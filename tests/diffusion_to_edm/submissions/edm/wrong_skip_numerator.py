# c_skip with the noise's variance above the line.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    variance = (a * sigma_data) ** 2 + b**2

    c_skip = b**2 / variance
    return c_skip, b * sigma_data / variance.sqrt(), variance.rsqrt(), (b / a).log() / 4
