# A difference quotient along each coordinate: right on no more than one number.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] / (2 * sigma * noise)
    return (above + below).mean() / 2, slopes.mean(0)
