# Γ(K) is missing: right for two categories, where it is 1.
# loses: test_relaxed_log_density

# %% solution="relaxed_log_density"
def relaxed_log_density(log_y, logits, tau):
    k = log_y.shape[-1]
    score = logits - tau * log_y
    constant = (k - 1) * math.log(tau)
    return constant + (score - log_y).sum(-1) - k * score.logsumexp(-1)
