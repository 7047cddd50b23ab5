# Cholesky factors: the right singular values, and no factor for a singular covariance.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    d = x.shape[1]
    C1, C2 = torch.cov(x.T).view(d, d), torch.cov(y.T).view(d, d)
    L1, L2 = torch.linalg.cholesky(C1), torch.linalg.cholesky(C2)
    cross = torch.linalg.svdvals(L1.T @ L2).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return means + C1.trace() + C2.trace() - 2 * cross
