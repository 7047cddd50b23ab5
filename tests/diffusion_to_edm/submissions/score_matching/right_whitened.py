# Plain steps in coordinates in which the step is the identity.
# keeps: all

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    L = torch.linalg.cholesky(step)
    y = torch.linalg.solve_triangular(L, x.T, upper=False)
    for _ in range(n_steps):
        z = torch.randn(y.shape, generator=generator, dtype=y.dtype)
        y = y + L.T @ score((L @ y).T).T + 2**0.5 * z
    return (L @ y).T
