# Γ(K + 1) = K! for Γ(K).
# loses: test_relaxed_log_density

# %% solution="relaxed_log_density"
def relaxed_log_density(log_y, logits, tau):
    k = log_y.shape[-1]
    score = logits - tau * log_y
    constant = math.lgamma(k + 1) + (k - 1) * math.log(tau)
    return constant + (score - log_y).sum(-1) - k * score.logsumexp(-1)
