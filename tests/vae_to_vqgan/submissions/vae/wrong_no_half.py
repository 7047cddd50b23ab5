# The factor one half is missing.
# loses: test_kl_between, test_kl_between_gradient

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    shift = (mu_q - mu_p) ** 2 * (-logvar_p).exp()
    return (ratio + shift - 1 + logvar_p - logvar_q).sum(-1)
