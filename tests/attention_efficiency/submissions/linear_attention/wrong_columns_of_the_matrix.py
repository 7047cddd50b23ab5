# The first columns of A and how the others follow from them.
# loses: test_fewest_features

# %% solution="fewest_features"
def fewest_features(A, tol):
    for m in range(1, min(A.shape) + 1):
        phi_q = A[:, :m].clone()
        phi_k = torch.linalg.lstsq(phi_q, A).solution.T
        if torch.linalg.norm(phi_q @ phi_k.T - A) <= tol * torch.linalg.norm(A):
            break
    return phi_q, phi_k
