# c_in for data of standard deviation 1.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    variance = (a * sigma_data) ** 2 + b**2

    c_skip = a * sigma_data**2 / variance
    into = (a**2 + b**2).rsqrt()
    return c_skip, b * sigma_data / variance.sqrt(), into, (b / a).log() / 4
