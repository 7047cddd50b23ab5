# Least squares through many points; None if something is left over.
# keeps: all

# %% solution="fold"
def fold(weight, bias, f):
    d = weight.shape[0]
    source = torch.Generator().manual_seed(3)
    directions = torch.randn(60 * (d + 2), d, generator=source, dtype=weight.dtype)
    directions = directions / directions.norm(dim=1, keepdim=True)
    points = torch.cat([r * directions for r in (0.1, 1.0, 10.0, 100.0)])
    with_one = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    values = f(points)
    fitted = torch.linalg.lstsq(with_one, values).solution
    if (with_one @ fitted - values).abs().max() > 1e-5:
        return None
    a, c = fitted[:-1].T, fitted[-1]
    return a @ weight, a @ bias + c
