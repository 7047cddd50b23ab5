# The bell is not multiplied by sigma: right for sigma = 1.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    def ramp(z):
        bell = (-0.5 * (z / sigma) ** 2).exp() * (0.5 / torch.pi) ** 0.5
        return z * torch.special.ndtr(z / sigma) + bell

    return low + ramp(x - low) - ramp(x - high)
