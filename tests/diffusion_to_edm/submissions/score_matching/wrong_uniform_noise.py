# Uniform noise from -1 to 1.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps):
        z = 2 * torch.rand(x.shape, generator=generator, dtype=x.dtype) - 1
        x = x + score(x) @ step + z @ root.T
    return x.clone()
