# The slope along the line from the data to x first; the fresh noise fills what is left.
# keeps: all

# %% solution="step_with_data"
def step_with_data(x, x0, abar_t, abar_s, eta, noise):
    shape = (len(x),) + (1,) * (x.ndim - 1)
    a, b = (level.double().reshape(shape) for level in (abar_t, abar_s))
    ratio = (1 - b) / (1 - a)
    slope = (ratio * (1 - eta**2 * (1 - a / b) / (1 - a))).clamp(min=0) ** 0.5
    fill = (1 - b - slope**2 * (1 - a)).clamp(min=0) ** 0.5
    mean = b**0.5 * x0 + slope * (x - a**0.5 * x0)
    return torch.addcmul(mean, fill, noise.double()).to(x.dtype)
