# Real parts of the eigenvalues of the product, cut at zero before the root.
# keeps: all

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    d, dtype = x.shape[1], x.dtype
    x, y = x.double(), y.double()
    C1, C2 = torch.cov(x.T).view(d, d), torch.cov(y.T).view(d, d)
    values = torch.linalg.eigvals(C1 @ C2).real.clamp(min=0)
    means = (x.mean(0) - y.mean(0)).square().sum()
    return (means + C1.trace() + C2.trace() - 2 * values.sqrt().sum()).to(dtype)
