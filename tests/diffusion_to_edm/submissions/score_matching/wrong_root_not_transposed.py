# z @ L, whose covariance is LᵀL.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + score(x) @ step + z @ root
    return x.clone()
