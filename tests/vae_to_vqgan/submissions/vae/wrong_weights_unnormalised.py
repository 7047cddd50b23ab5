# Weights whose mean is 1 instead of their sum.
# loses: test_many_sample_bound

# %% solution="many_sample_bound"
def many_sample_bound(mu, logvar, noise, log_joint):
    z = mu + (0.5 * logvar).exp() * noise
    log_q = -0.5 * (math.log(2 * math.pi) + logvar + noise**2).sum(-1)
    log_w = log_joint(z) - log_q
    bound = log_w.logsumexp(0) - math.log(len(noise))
    return bound, (log_w - bound).exp()
