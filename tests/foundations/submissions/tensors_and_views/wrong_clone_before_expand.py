# The copy is made before it is expanded: the bias is safe, the sentences are still one.
# loses: test_fill_padding test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.clone().expand(len(padding), *bias.shape)
    for b, hidden in enumerate(padding):
        scores[b, :, :, hidden] = value
    return scores
