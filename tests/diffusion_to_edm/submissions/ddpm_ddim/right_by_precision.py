# Bayes: the prior of x_s and the likelihood of x_t, added as precisions.
# keeps: all

# %% solution="gaussian_reverse"
def gaussian_reverse(x, abar_t, abar_s, mean, variance):
    scale = (abar_t / abar_s) ** 0.5
    noise = 1 - scale**2
    prior = 1 + abar_s * (variance - 1)
    if prior == 0:
        return torch.full_like(x, abar_s**0.5 * mean), 0.0
    precision = 1 / prior + scale**2 / noise
    centre = (abar_s**0.5 * mean / prior + scale * x / noise) / precision
    return centre, 1 / precision
