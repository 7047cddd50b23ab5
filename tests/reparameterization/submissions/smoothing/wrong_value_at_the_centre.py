# f at x itself, not averaged over anything.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] * noise / (2 * sigma)
    return f(x[None])[0], slopes.mean(0)
