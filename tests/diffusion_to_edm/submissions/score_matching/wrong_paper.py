# Half the drift and half the noise variance: the paper, consistently.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(step)
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + score(x) @ step / 2 + z @ root.T
    return x.clone()
