# Every category contributes its log-share of the sum: log softmax, then one sum.
# keeps: all

# %% solution="relaxed_log_density"
def relaxed_log_density(log_y, logits, tau):
    k = log_y.shape[-1]
    share = (logits - tau * log_y).log_softmax(-1)
    factorial = sum(math.log(i) for i in range(1, k))
    return (share - log_y).sum(-1) + factorial + (k - 1) * math.log(tau)
