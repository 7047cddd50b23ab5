# The share of the squares is compared with tol itself.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    m = int((s.square().flip(0).cumsum(0).flip(0) > tol * s.square().sum()).sum())
    return U[:, :m] * s[:m], Vh[:m].T.clone()
