# Cross entropy less entropy.
# keeps: all

# %% solution="kl_between"
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    log_2pi = math.log(2 * math.pi)
    gap = mu_q - mu_p
    cross = log_2pi + logvar_p + (logvar_q - logvar_p).exp() + gap**2 / logvar_p.exp()
    entropy = log_2pi + logvar_q + 1
    return (cross / 2 - entropy / 2).sum(-1)
