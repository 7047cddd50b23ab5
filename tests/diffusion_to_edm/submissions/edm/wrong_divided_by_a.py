# Right in sigma-space and converted, but NaN at pure noise.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    sigma = b / a
    total = sigma**2 + sigma_data**2
    c_out = sigma * sigma_data / total.sqrt()
    return sigma_data**2 / total / a, c_out, total.rsqrt() / a, sigma.log() / 4
