# No skip: unit variances hold, but the amplification is not least.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    variance = (a * sigma_data) ** 2 + b**2

    c_out = torch.full_like(a, sigma_data)
    return 0 * a, c_out, variance.rsqrt(), (b / a).log() / 4
