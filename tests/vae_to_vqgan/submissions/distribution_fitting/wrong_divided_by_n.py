# Covariances divided by n and m.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    a = (x - x.mean(0)) / math.sqrt(len(x))
    b = (y - y.mean(0)) / math.sqrt(len(y))
    cross = torch.linalg.svdvals(a @ b.mT).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + a.square().sum() + b.square().sum() - 2 * cross
