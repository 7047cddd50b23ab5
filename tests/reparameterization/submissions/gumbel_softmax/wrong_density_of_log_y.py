# The density of log y: the factor 1 / (y_1 ... y_K) is missing.
# loses: test_relaxed_log_density

# %% solution="relaxed_log_density"
def relaxed_log_density(log_y, logits, tau):
    k = log_y.shape[-1]
    score = logits - tau * log_y
    constant = math.lgamma(k) + (k - 1) * math.log(tau)
    return constant + score.sum(-1) - k * score.logsumexp(-1)
