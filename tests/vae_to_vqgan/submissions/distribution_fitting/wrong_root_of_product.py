# Eigenvalues of the unsymmetric product, rooted: complex, or not a number.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    d = x.shape[1]
    C1, C2 = torch.cov(x.T).view(d, d), torch.cov(y.T).view(d, d)
    cross = torch.linalg.eigvals(C1 @ C2).sqrt().sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + C1.trace() + C2.trace() - 2 * cross
