# Distances beyond the window rounded down to whole tokens.
# loses: test_cached_scores

# %% solution="cached_scores"
def cached_scores(q, k, inv_freq, window, leak=math.inf):
    n = k.shape[2]
    t = torch.arange(n - 1, -1, -1, dtype=torch.float64)
    distance = torch.where(t < window, t, window + ((t - window) / leak).floor())
    angle = -distance[:, None] * inv_freq.double()
    cos, sin = angle.cos().to(k.dtype), angle.sin().to(k.dtype)
    a, b = k[..., 0::2], k[..., 1::2]
    turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    return (turned @ q[..., None])[..., 0]
