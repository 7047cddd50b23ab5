# A variance over a variance: infinity over infinity where logvar is 100.
# loses: test_kl_between

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    var_q, var_p = logvar_q.exp(), logvar_p.exp()
    shift = (mu_q - mu_p) ** 2
    return 0.5 * ((var_q + shift) / var_p - 1 + logvar_p - logvar_q).sum(-1)
