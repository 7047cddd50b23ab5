# The formula for a standard normal prior, with the difference of the means.
# loses: test_kl_between, test_kl_between_gradient

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    mu = mu_q - mu_p
    return 0.5 * (mu**2 + logvar_q.exp() - logvar_q - 1).sum(-1)
