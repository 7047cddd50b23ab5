# The clipped line itself.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    return x.clamp(low, high)
