# The root of each entry.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root = (2 * step).abs().sqrt()
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + score(x) @ step + z @ root.T
    return x.clone()
