# The encoder is the transposed decoder: the noise is not taken into account.
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
    A = W.T
    return {"m": m, "W": W, "A": A, "v": noise / (w2 + noise), "sigma2": sigma2}
