# The variance, where the standard deviation is asked for.
# loses: test_one_gaussian, test_one_gaussian_reverse

# %% solution="one_gaussian"
def one_gaussian(x, logp, direction):
    weight = logp.softmax(0)
    mu = (weight * x).sum()
    sigma = (weight * (x - mu) ** 2).sum()
    return torch.stack([mu, sigma])
