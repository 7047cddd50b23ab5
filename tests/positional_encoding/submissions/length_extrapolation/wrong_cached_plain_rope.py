# Plain RoPE: no distance is cut.
# loses: test_cached_scores, test_cached_scores_gradient

# %% solution="cached_scores"
def cached_scores(q, k, inv_freq, window, leak=math.inf):
    n = k.shape[2]
    t = torch.arange(n - 1, -1, -1, dtype=torch.float64)
    distance = t
    angle = -distance[:, None] * inv_freq.double()
    cos, sin = angle.cos().to(k.dtype), angle.sin().to(k.dtype)
    a, b = k[..., 0::2], k[..., 1::2]
    turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    return (turned @ q[..., None])[..., 0]
