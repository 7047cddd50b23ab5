# Draws of its own in place of those handed in.
# loses: test_antithetic

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    noise = torch.randn_like(noise)
    above, below = f(x + sigma * noise), f(x - sigma * noise)
    slopes = (above - below)[:, None] * noise / (2 * sigma)
    return (above + below).mean() / 2, slopes.mean(0)
