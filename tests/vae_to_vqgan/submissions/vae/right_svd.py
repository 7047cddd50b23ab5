# By the singular values of the data, signs turned and dimensions in another order.
# keeps: all

# %% solution="linear_vae"
def linear_vae(X, k, beta=1.0, sigma2=None):
    m = X.mean(0)
    _, s, vh = torch.linalg.svd(X - m, full_matrices=False)
    values = s.square() / len(X)
    if sigma2 is None:
        sigma2 = values[k:].sum() / (X.shape[1] - k)
    sigma2 = torch.as_tensor(sigma2, dtype=X.dtype)
    kept = torch.relu(values[:k] - beta * sigma2).flip(0)
    W = -vh[:k].flip(0).T * kept.sqrt()
    precision = torch.eye(k, dtype=X.dtype) + W.T @ W / (beta * sigma2)
    A = torch.linalg.inv(precision) @ W.T / (beta * sigma2)
    return {"m": m, "W": W, "A": A, "v": 1 / precision.diagonal(), "sigma2": sigma2}
