# Adds ln C to the scores in place.
# loses: test_split_weights

# %% solution="split_weights"
def split_weights(scores, log_c):
    before = scores.logsumexp(-1)
    scores += log_c
    return scores.softmax(-1), scores.logsumexp(-1) - before
