# The root of the distance that was asked for.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    a = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    b = (y - y.mean(0)) / math.sqrt(len(y) - 1)
    cross = torch.linalg.svdvals(a @ b.mT).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    total = means + a.square().sum() + b.square().sum() - 2 * cross
    return total.clamp(min=0).sqrt()
