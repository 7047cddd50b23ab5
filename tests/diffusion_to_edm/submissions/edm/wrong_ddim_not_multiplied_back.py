# Stays in x = x_t / s.
# loses: test_ddim_in_sigma

# %% solution="ddim_in_sigma"
def ddim_in_sigma(x, eps, abar_t, abar_s):
    along = (-1, *[1] * (x.ndim - 1))
    abar_t, abar_s = (
        abar.reshape(along) if abar.ndim else abar for abar in (abar_t, abar_s)
    )
    sigma_t, sigma_s = ((1 / abar - 1).sqrt() for abar in (abar_t, abar_s))
    return x / abar_t.sqrt() + (sigma_s - sigma_t) * eps
