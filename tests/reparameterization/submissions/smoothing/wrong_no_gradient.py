# Right values from numpy, and nothing to learn from.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    from scipy import stats

    def ramp(z):
        return z * stats.norm.cdf(z / sigma) + sigma * stats.norm.pdf(z / sigma)

    v = x.detach().double().numpy()
    return torch.from_numpy(low + ramp(v - low) - ramp(v - high)).to(x.dtype)
