# A loop over draws, two calls each.
# keeps: all

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    value, slope = torch.zeros((), dtype=x.dtype), torch.zeros_like(x)
    for e in noise:
        up, down = f((x + sigma * e)[None])[0], f((x - sigma * e)[None])[0]
        value = value + (up + down) / (2 * len(noise))
        slope = slope + (up - down) * e / (2 * sigma * len(noise))
    return value, slope
