# Variances of the channels only: correlations do not count.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + (x.std(0) - y.std(0)).square().sum()
