# 0 times -inf is NaN.
# loses: test_fill_padding

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    masked = padding[:, None, None, :].to(bias)
    return bias * (1 - masked) + value * masked
