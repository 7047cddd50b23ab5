# Weights formed as such: they overflow.
# loses: test_many_sample_bound

# %% solution="many_sample_bound"
def many_sample_bound(mu, logvar, noise, log_joint):
    z = mu + (0.5 * logvar).exp() * noise
    log_q = -0.5 * (math.log(2 * math.pi) + logvar + noise**2).sum(-1)
    w = (log_joint(z) - log_q).exp()
    return w.mean(0).log(), w / w.sum(0)
