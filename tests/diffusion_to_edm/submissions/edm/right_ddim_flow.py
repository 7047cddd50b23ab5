# By way of flow matching's time.
# keeps: all

# %% solution="ddim_in_sigma"
def ddim_in_sigma(x, eps, abar_t, abar_s):
    shape = (-1,) + (1,) * (x.ndim - 1)
    a, b = (v.reshape(shape) if v.ndim else v for v in (abar_t, abar_s))
    t, s = ((1 - v).sqrt() / (v.sqrt() + (1 - v).sqrt()) for v in (a, b))
    flow = x * (1 - t) / a.sqrt()
    data = x / a.sqrt() - ((1 - a) / a).sqrt() * eps
    flow = flow + (s - t) * (eps - data)
    return flow * (b.sqrt() + (1 - b).sqrt())
