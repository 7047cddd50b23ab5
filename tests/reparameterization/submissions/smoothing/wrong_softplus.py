# A logistic average: the right shape, another noise.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    def ramp(z):
        return sigma * torch.nn.functional.softplus(z / sigma)

    return low + ramp(x - low) - ramp(x - high)
