# The gradient is not divided by sigma.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    return (above + below).mean() / 2, ((above - below)[:, None] * noise / 2).mean(0)
