# The gain as a plain mean of C over keys, whatever the weights.
# loses: test_split_weights, test_split_weights_gradient

# %% solution="split_weights"
def split_weights(scores, log_c):
    table = log_c.expand_as(scores)
    n = scores.shape[-1]
    log_gain = table.logsumexp(-1) - torch.tensor(float(n)).log().to(scores.dtype)
    return (scores + log_c).softmax(-1), log_gain
