# Counts singular values above tol times the largest.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    m = int((s > tol * s[0]).sum())
    return U[:, :m] * s[:m], Vh[:m].T.clone()
