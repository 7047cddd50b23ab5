# Eigenvectors of A^T A, and A on them.
# keeps: all

# %% solution="fewest_features"
def fewest_features(A, tol):
    values, vectors = torch.linalg.eigh(A.T @ A)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    total = A.norm()
    m = 1
    while m < min(A.shape):
        phi_k = vectors[:, :m]
        if (A @ phi_k @ phi_k.T - A).norm() <= tol * total:
            break
        m += 1
    phi_k = vectors[:, :m].clone()
    return A @ phi_k, phi_k
