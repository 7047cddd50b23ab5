# The value from the upper points only.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] * noise / (2 * sigma)
    return above.mean(), slopes.mean(0)
