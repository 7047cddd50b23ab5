# Second moments about zero, not about the mean.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    a, b = x / math.sqrt(len(x) - 1), y / math.sqrt(len(y) - 1)
    cross = torch.linalg.svdvals(a @ b.mT).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + a.square().sum() + b.square().sum() - 2 * cross
