# The same by the error function, from the middle outwards.
# keeps: all

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    middle, half = (low + high) / 2, (high - low) / 2

    def smooth_abs(z):
        u = z / (sigma * 2**0.5)
        return z * torch.erf(u) + sigma * (2 / torch.pi) ** 0.5 * (-u * u).exp()

    z = x - middle
    return middle + (smooth_abs(z + half) - smooth_abs(z - half)) / 2
