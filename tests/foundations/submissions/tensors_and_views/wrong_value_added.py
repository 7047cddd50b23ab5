# The value is added to the bias, which only -inf does not show.
# loses: test_fill_padding

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    extra = torch.zeros(padding.shape).to(bias).masked_fill(padding, value)
    return bias + extra[:, None, None, :]
