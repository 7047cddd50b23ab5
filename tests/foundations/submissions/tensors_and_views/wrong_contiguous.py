# A copy for two sentences; for one it is the bias itself.
# loses: test_fill_padding test_fill_padding_gradient

# %% solution="fill_padding"
def fill_padding(bias, padding, value):
    scores = bias.expand(len(padding), *bias.shape).contiguous()
    for b, hidden in enumerate(padding):
        scores[b, :, :, hidden] = value
    return scores
