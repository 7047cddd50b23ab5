# Any rotation of W, and the diagonal of the exact posterior: the bound does mind.
# loses: test_linear_vae

# %% solution="linear_vae"
def linear_vae(X, k, beta=1.0, sigma2=None):
    m = X.mean(0)
    values, vectors = torch.linalg.eigh((X - m).T @ (X - m) / len(X))
    values, vectors = values.flip(0), vectors.flip(1)
    if sigma2 is None:
        sigma2 = values[k:].mean()
    sigma2 = torch.as_tensor(sigma2, dtype=X.dtype)
    noise = beta * sigma2
    w2 = (values[:k] - noise).clamp(min=0)
    W = vectors[:, :k] * w2.sqrt()
    draw = torch.Generator().manual_seed(0)
    turn = torch.randn(k, k, dtype=X.dtype, generator=draw)
    W = W @ torch.linalg.qr(turn).Q
    precision = torch.eye(k, dtype=X.dtype) + W.T @ W / noise
    A = torch.linalg.solve(precision, W.T) / noise
    v = 1 / precision.diag()
    return {"m": m, "W": W, "A": A, "v": v, "sigma2": sigma2}
