# Without padding the expanded bias itself is returned.
# loses: test_fill_padding

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.expand(len(padding), *bias.shape)
    if padding.any():
        scores = scores.masked_fill(padding[:, None, None, :], value)
    return scores
