# One d by d matrix a position, as the exponential of a generator.
# keeps: all

# %% solution="rotate"
def rotate(x, positions, r, base=10_000.0, layout="interleaved"):
    d = x.shape[-1]
    generator = torch.zeros(d, d, dtype=torch.float64)
    for i in range(r // 2):
        a, b = (2 * i, 2 * i + 1) if layout == "interleaved" else (i, i + r // 2)
        generator[b, a] = base ** (-2 * i / r)
        generator[a, b] = -generator[b, a]
    matrix = torch.linalg.matrix_exp(positions.double()[..., None, None] * generator)
    if positions.ndim == 2:
        matrix = matrix[:, None]
    return (matrix.to(x.dtype) @ x[..., None])[..., 0]
