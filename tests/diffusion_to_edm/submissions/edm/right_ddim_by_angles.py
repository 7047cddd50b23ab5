# On the circle of VP: a turn by the difference of two angles.
# keeps: all

# %% solution="ddim_in_sigma"
def ddim_in_sigma(x, eps, abar_t, abar_s):
    shape = (-1,) + (1,) * (x.ndim - 1)
    now, then = (
        abar.clamp(0, 1).sqrt().acos().reshape(shape if abar.ndim else ())
        for abar in (abar_t, abar_s)
    )
    # sin(then - now) / cos(now) is what the noise counts, cos / cos the sample.
    return (then.cos() * x + torch.sin(then - now) * eps) / now.cos()
