# The score of the start in every step.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    force = score(x)
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + force @ step + z @ root.T
    return x.clone()
