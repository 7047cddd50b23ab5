# The log of the new denominator alone: it moves when a row of scores does.
# loses: test_split_weights

# %% solution="split_weights"
def split_weights(scores, log_c):
    shifted = scores + log_c
    return shifted.softmax(-1), shifted.logsumexp(-1)
