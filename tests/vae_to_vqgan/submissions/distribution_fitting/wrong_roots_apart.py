# tr(C1^½ C2^½): right where the covariances commute.
# loses: test_frechet_from_samples

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    d = x.shape[1]

    def root(C):
        values, vectors = torch.linalg.eigh(C)
        return vectors * values.clamp(min=0).sqrt() @ vectors.T

    C1, C2 = torch.cov(x.T).view(d, d), torch.cov(y.T).view(d, d)
    means = (x.mean(0) - y.mean(0)).square().sum()
    cross = (root(C1) @ root(C2)).trace()
    return means + C1.trace() + C2.trace() - 2 * cross
