# The mask along the queries.
# loses: test_fill_padding test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    return bias.expand(len(padding), *bias.shape).masked_fill(
        padding[:, None, :, None], value
    )
