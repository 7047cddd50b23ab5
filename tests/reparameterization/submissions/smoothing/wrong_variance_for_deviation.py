# The noise is scaled by the root of sigma, as if sigma were a variance.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    s = sigma**0.5
    above, below = f(x + s * noise), f(x - s * noise)
    slopes = (above - below)[:, None] * noise / (2 * s)
    return (above + below).mean() / 2, slopes.mean(0)
