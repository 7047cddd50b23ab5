# Only the means are compared: the trace term is missing.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    return (x.mean(0) - y.mean(0)).square().sum()
