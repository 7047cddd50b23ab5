# The largest logarithm taken out by hand; log q from a Normal of z.
# keeps: all

# %% solution="many_sample_bound"
def many_sample_bound(mu, logvar, noise, log_joint):
    z = mu + (0.5 * logvar).exp() * noise
    q = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    log_w = log_joint(z) - q.log_prob(z).sum(-1)
    top = log_w.max(0, keepdim=True).values.detach()
    w = (log_w - top).exp()
    return w.mean(0).log() + top[0], w / w.sum(0, keepdim=True)
