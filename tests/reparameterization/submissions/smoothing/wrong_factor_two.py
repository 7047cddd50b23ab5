# The difference over sigma, not over twice sigma.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] * noise / sigma
    return (above + below).mean() / 2, slopes.mean(0)
