# The prior receives no gradient: a hierarchical model would not learn it.
# loses: test_kl_between_gradient

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    mu_p, logvar_p = mu_p.detach(), logvar_p.detach()
    ratio = (logvar_q - logvar_p).exp()
    shift = (mu_q - mu_p) ** 2 * (-logvar_p).exp()
    return 0.5 * (ratio + shift - 1 + logvar_p - logvar_q).sum(-1)
