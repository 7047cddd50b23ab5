# Right numbers; no gradient reaches ln C through the gain.
# loses: test_split_weights_gradient

# %% solution="split_weights"
def split_weights(scores, log_c):
    shifted = scores + log_c
    log_gain = shifted.logsumexp(-1) - scores.logsumexp(-1)
    return shifted.softmax(-1), log_gain.detach()
