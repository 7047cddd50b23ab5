# The moments, whichever direction was asked for.
# loses: test_one_gaussian_reverse

# %% solution="one_gaussian"
def one_gaussian(x, logp, direction):
    weight = logp.softmax(0)
    mu = (weight * x).sum()
    return torch.stack([mu, (weight * (x - mu) ** 2).sum().sqrt()])
