# sigma_data taken for a variance.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    variance = a**2 * sigma_data + b**2
    c_skip = a * sigma_data / variance
    c_out = b * sigma_data**0.5 / variance.sqrt()
    return c_skip, c_out, variance.rsqrt(), (b / a).log() / 4
