# The mean of a thousand draws.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    noise = torch.randn(1000, *x.shape, dtype=x.dtype)
    return (x + sigma * noise).clamp(low, high).mean(0)
