# c_out is b, as for a network that predicts the noise.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    variance = (a * sigma_data) ** 2 + b**2

    c_skip = a * sigma_data**2 / variance
    return c_skip, b, variance.rsqrt(), (b / a).log() / 4
