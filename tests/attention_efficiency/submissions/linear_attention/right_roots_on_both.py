# Half of each singular value, as a root, on either side; tried one by one.
# keeps: all

# %% solution="fewest_features"
def fewest_features(A, tol):
    U, s, V = torch.svd(A)
    for m in range(1, len(s) + 1):
        root = s[:m].sqrt()
        phi_q, phi_k = U[:, :m] * root, V[:, :m] * root
        if (phi_q @ phi_k.T - A).norm() <= tol * A.norm():
            break
    return phi_q, phi_k
