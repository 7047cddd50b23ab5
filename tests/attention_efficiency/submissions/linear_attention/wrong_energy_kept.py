# Keeps a share of 1 - tol of the norm.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    m = int((s.square().cumsum(0).sqrt() < (1 - tol) * s.norm()).sum()) + 1
    return U[:, :m] * s[:m], Vh[:m].T.clone()
