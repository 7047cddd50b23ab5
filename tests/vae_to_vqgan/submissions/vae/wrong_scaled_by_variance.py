# The noise multiplied by the variance instead of sigma.
# loses: test_many_sample_bound, test_many_sample_bound_gradient

# %% solution="many_sample_bound"
def many_sample_bound(mu, logvar, noise, log_joint):
    z = mu + logvar.exp() * noise
    log_q = -0.5 * (math.log(2 * math.pi) + logvar + noise**2).sum(-1)
    log_w = log_joint(z) - log_q
    return log_w.logsumexp(0) - math.log(len(noise)), log_w.softmax(0)
