# Loops over the sentences: autograd refuses writes to what one operation split.
# loses: test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.expand(len(padding), *bias.shape).clone()
    for sentence, hidden in zip(scores, padding):
        sentence[:, :, hidden] = value
    return scores
