# Complex multiplication, half-split pairs brought side by side and back.
# keeps: all

# %% solution="rotate"
def rotate(x, positions, r, base=10_000.0, layout="interleaved"):
    turned, rest = x[..., :r], x[..., r:]
    if layout == "half":
        turned = turned.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)
    pairs = torch.view_as_complex(turned.unflatten(-1, (-1, 2)).contiguous())
    angle = positions[..., None] * base ** (-torch.arange(0, r, 2).double() / r)
    if positions.ndim == 2:
        angle = angle[:, None]
    phase = torch.polar(torch.ones_like(angle), angle).to(pairs.dtype)
    turned = torch.view_as_real(pairs * phase).flatten(-2)
    if layout == "half":
        turned = turned.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    return torch.cat((turned, rest), -1)
