# Frequencies of the whole head, although only r channels turn.
# loses: test_rotate, test_rotate_gradient

# %% solution="rotate"
def rotate(x, positions, r, base=10_000.0, layout="interleaved"):
    theta = base ** (-torch.arange(0, r, 2).double() / x.shape[-1])
    angle = positions[..., None] * theta
    if angle.ndim == 3:
        angle = angle[:, None]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    if layout == "half":
        first, second = slice(0, r // 2), slice(r // 2, r)
    else:
        first, second = slice(0, r, 2), slice(1, r, 2)
    a, b = x[..., first], x[..., second]
    out = x.clone()
    out[..., first] = a * cos - b * sin
    out[..., second] = a * sin + b * cos
    return out
