# The new layer is read off the composition; differences of differences test f.
# keeps: all

# %% solution="fold"
def fold(weight, bias, f):
    d, n = weight.shape
    g = torch.Generator().manual_seed(11)
    for length in (0.1, 1.0, 10.0, 100.0):
        p, q = torch.randn(2, 300, d, generator=g).to(weight)
        p, q = (length * F.normalize(v, dim=1) for v in (p, q))
        bend = f(p + q) - f(p) - f(q) + f(torch.zeros_like(p))
        if bend.abs().max() > 1e-5:
            return None
    at_zero = f(bias[None])[0]
    columns = [f((weight[:, j] + bias)[None])[0] - at_zero for j in range(n)]
    return torch.stack(columns, 1), at_zero
