# Half-split pairs with interleaved cosines: not a rotation at all.
# loses: test_rotate, test_rotate_gradient

# %% solution="rotate"
def rotate(x, positions, r, base=10_000.0, layout="interleaved"):
    theta = base ** (-torch.arange(0, r, 2).double() / r)
    angle = positions[..., None] * theta
    if angle.ndim == 3:
        angle = angle[:, None]
    angle = angle.repeat_interleave(2, -1)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    turned, rest = x[..., :r], x[..., r:]
    if layout == "half":
        a, b = turned.chunk(2, -1)
        partner = torch.cat((-b, a), -1)
    else:
        a, b = turned[..., 0::2], turned[..., 1::2]
        partner = torch.stack((-b, a), -1).flatten(-2)
    return torch.cat((turned * cos + partner * sin, rest), -1)
