# The sum of singular values through the polar factor, by Newton-Schulz iteration.
# keeps: all

# %% solution="frechet_from_samples"
def frechet_from_samples(x, y):
    dtype = x.dtype
    x, y = x.double(), y.double()
    a = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    b = (y - y.mean(0)) / math.sqrt(len(y) - 1)
    cross = a @ b.mT
    polar = cross / torch.linalg.matrix_norm(cross).clamp(min=1e-30)
    for _ in range(60):
        polar = 1.5 * polar - 0.5 * polar @ polar.mT @ polar
    means = (x.mean(0) - y.mean(0)).square().sum()
    total = means + a.square().sum() + b.square().sum() - 2 * (polar * cross).sum()
    return total.to(dtype)
