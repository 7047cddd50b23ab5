# Built from Normal objects.
# keeps: all

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    q = torch.distributions.Normal(mu_q, (0.5 * logvar_q).exp())
    p = torch.distributions.Normal(mu_p, (0.5 * logvar_p).exp())
    return torch.distributions.kl_divergence(q, p).sum(-1)
