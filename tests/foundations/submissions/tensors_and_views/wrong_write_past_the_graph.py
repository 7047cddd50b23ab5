# Copied within the graph, written through .data: masked entries keep a gradient.
# loses: test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.expand(len(padding), *bias.shape).clone()
    scores.data.masked_fill_(padding[:, None, None, :], value)
    return scores
