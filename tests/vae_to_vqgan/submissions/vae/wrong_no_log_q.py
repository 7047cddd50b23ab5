# The joint density alone, as if q were uniform.
# loses: test_many_sample_bound, test_many_sample_bound_gradient

# %% solution="many_sample_bound"
def many_sample_bound(mu, logvar, noise, log_joint):
    z = mu + (0.5 * logvar).exp() * noise
    log_w = log_joint(z)
    return log_w.logsumexp(0) - math.log(len(noise)), log_w.softmax(0)
