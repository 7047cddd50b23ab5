# Singular values are added, not their squares.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    m = int((s.flip(0).cumsum(0).flip(0) > tol * s.sum()).sum())
    return U[:, :m] * s[:m], Vh[:m].T.clone()
