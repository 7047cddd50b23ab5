# Values right, gradient lost.
# loses: test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.detach().expand(len(padding), *bias.shape).clone()
    for b, hidden in enumerate(padding):
        scores[b, :, :, hidden] = value
    return scores
