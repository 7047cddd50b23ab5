# Half-split pairs i and i + d/2 of the whole head, not of its first r channels.
# loses: test_rotate, test_rotate_gradient

# %% solution="rotate"
def rotate(x, positions, r, base=10_000.0, layout="interleaved"):
    theta = base ** (-torch.arange(0, r, 2).double() / r)
    angle = positions[..., None] * theta
    if angle.ndim == 3:
        angle = angle[:, None]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    if layout == "half":
        middle = x.shape[-1] // 2
        first, second = slice(0, r // 2), slice(middle, middle + r // 2)
    else:
        first, second = slice(0, r, 2), slice(1, r, 2)
    a, b = x[..., first], x[..., second]
    out = x.clone()
    out[..., first] = a * cos - b * sin
    out[..., second] = a * sin + b * cos
    return out
