# The numerical rank, whatever error is allowed.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    m = int(torch.linalg.matrix_rank(A))
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    return U[:, :m] * s[:m], Vh[:m].T.clone()
