# Both covariances divided by the first sample's n - 1: right for equal sizes.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    a, b = x - x.mean(0), y - y.mean(0)
    cross = torch.linalg.svdvals(a @ b.mT).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    spread = a.square().sum() + b.square().sum() - 2 * cross
    return means + spread / (len(x) - 1)
