# No error any more, no gradient, and the parameter is overwritten.
# loses: test_fill_padding test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.data.expand(len(padding), *bias.shape)
    for b, hidden in enumerate(padding):
        scores[b, :, :, hidden] = value
    return scores
