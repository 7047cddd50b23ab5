# The same noise in every step.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(2 * step)
    z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    for _ in range(n_steps):
        x = x + score(x) @ step + z @ root.T
    return x.clone()
