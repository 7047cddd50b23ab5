# Takes the gain as a weighted mean of C, in logarithms.
# keeps: all

# %% solution="split_weights"
def split_weights(scores, log_c):
    product = torch.log_softmax(scores, -1) + log_c
    log_gain = product.logsumexp(-1)
    return (product - log_gain[..., None]).exp(), log_gain
