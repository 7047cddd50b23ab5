# reshape copies when it must, which for one sentence it need not.
# loses: test_fill_padding test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    shape = (len(padding), *bias.shape)
    scores = bias.expand(shape).reshape(-1).reshape(shape)
    scores.masked_fill_(padding[:, None, None, :], value)
    return scores
