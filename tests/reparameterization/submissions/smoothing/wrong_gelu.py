# x times Phi without the bell: each ramp is a GELU.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    def ramp(z):
        return z * torch.special.ndtr(z / sigma)

    return low + ramp(x - low) - ramp(x - high)
