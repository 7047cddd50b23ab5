# Eigenvalues of A A^T, which are squares already.
# keeps: all

# %% solution="fewest_features"
def fewest_features(A, tol):
    values, vectors = torch.linalg.eigh(A @ A.T)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    left_out = values.flip(0).cumsum(0).flip(0)
    m = int((left_out > tol**2 * left_out[0]).sum())
    return vectors[:, :m].clone(), A.T @ vectors[:, :m]
