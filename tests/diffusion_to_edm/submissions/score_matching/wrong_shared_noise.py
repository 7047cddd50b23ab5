# One noise for all chains.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps):
        z = torch.randn(x.shape[1], generator=generator, dtype=x.dtype)
        x = x + score(x) @ step + z @ root.T
    return x.clone()
