# The two ramps without the level they start from.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    def ramp(z):
        bell = (-0.5 * (z / sigma) ** 2).exp() * (0.5 / torch.pi) ** 0.5
        return z * torch.special.ndtr(z / sigma) + sigma * bell

    return ramp(x - low) - ramp(x - high)
