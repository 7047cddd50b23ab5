# Leaves the logarithm: exp(-10,000) is 0, and its power infinite.
# loses: test_relaxed_log_density

# %% solution="relaxed_log_density"
def relaxed_log_density(log_y, logits, tau):
    k = log_y.shape[-1]
    y, pi = log_y.exp(), logits.exp()
    constant = math.lgamma(k) * 1.0 + (k - 1) * math.log(tau)
    total = (pi * y**-tau).sum(-1)
    return constant + (pi * y ** (-tau - 1)).log().sum(-1) - k * total.log()
