# The sum over the draws: right for a single one.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] * noise / (2 * sigma)
    return (above + below).mean() / 2, slopes.sum(0)
