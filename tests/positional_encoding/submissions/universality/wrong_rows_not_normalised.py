# The product itself for the weights: their rows do not sum to one.
# loses: test_split_weights

# %% solution="split_weights"
def split_weights(scores, log_c):
    log_gain = (scores + log_c).logsumexp(-1) - scores.logsumexp(-1)
    return scores.softmax(-1) * log_c.exp(), log_gain
