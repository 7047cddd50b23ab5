# KL(p || q): the other direction, right where the variances are equal.
# loses: test_kl_between, test_kl_between_gradient

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_p - logvar_q).exp()
    shift = (mu_q - mu_p) ** 2 * (-logvar_q).exp()
    return 0.5 * (ratio + shift - 1 + logvar_q - logvar_p).sum(-1)
