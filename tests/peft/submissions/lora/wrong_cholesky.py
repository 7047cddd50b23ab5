# Whitens by the Cholesky factor, which few inputs do not have.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    L = torch.linalg.cholesky(x.T @ x)
    U, S, Vh = torch.linalg.svd(dW @ L, full_matrices=False)
    A = torch.linalg.solve_triangular(L.T, Vh[:r].T, upper=True).T
    return U[:, :r] * S[:r], A
