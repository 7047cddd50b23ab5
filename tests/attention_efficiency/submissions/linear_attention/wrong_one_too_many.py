# One feature more than needed.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    m = min(
        len(s),
        int((s.square().flip(0).cumsum(0).flip(0).sqrt() > tol * s.norm()).sum()) + 1,
    )
    return U[:, :m] * s[:m], Vh[:m].T.clone()
