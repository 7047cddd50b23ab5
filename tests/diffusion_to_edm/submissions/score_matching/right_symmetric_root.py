# The symmetric root, by eigenvectors.
# keeps: all

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    values, vectors = torch.linalg.eigh(step)
    root = vectors @ torch.diag((2 * values).sqrt()) @ vectors.T
    for _ in range(n_steps):
        z = torch.randn(len(x), len(step), generator=generator, dtype=x.dtype)
        x = x + torch.einsum("ij,nj->ni", step, score(x)) + z @ root
    return 1 * x
