# One step too many.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps + 1):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + score(x) @ step + z @ root.T
    return x.clone()
