# Noise in single precision, then the start too.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = torch.linalg.cholesky(2 * step)
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator)
        x = (x + score(x) @ step).float() + z @ root.T.float()
        step, root = step.float(), root.float()
    return x.clone()
