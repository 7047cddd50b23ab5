# The chapter's coefficients of sigma = b / a, meant for x_t / a.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    sigma = b / a
    total = sigma**2 + sigma_data**2
    c_out = sigma * sigma_data / total.sqrt()
    return sigma_data**2 / total, c_out, total.rsqrt(), sigma.log() / 4
