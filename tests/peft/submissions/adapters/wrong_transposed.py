# The matrix is transposed.
# loses: test_fold

# %% solution="fold"
def fold(weight, bias, f):
    d = len(bias)
    c = f(torch.zeros(1, d, dtype=weight.dtype))[0]
    a = f(torch.eye(d, dtype=weight.dtype)) - c
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 200, d, dtype=weight.dtype, generator=generator)
    lengths = torch.tensor([0.1, 1.0, 10.0, 100.0], dtype=weight.dtype)
    points = F.normalize(points, dim=-1) * lengths[:, None, None]
    points = points.flatten(0, 1)
    if not torch.allclose(f(points), points @ a.T + c, rtol=1e-6, atol=1e-6):
        return None
    return a @ weight, a @ bias + c
