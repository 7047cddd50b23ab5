# A climb without noise.
# loses: test_matrix_langevin

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    for _ in range(n_steps):
        x = x + score(x) @ step
    return x.clone()
