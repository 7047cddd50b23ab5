# Computes in float64 and returns it.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    U, s, Vh = torch.linalg.svd(A.double(), full_matrices=False)
    m = int((s.square().flip(0).cumsum(0).flip(0).sqrt() > tol * s.norm()).sum())
    return U[:, :m] * s[:m], Vh[:m].T.clone()
