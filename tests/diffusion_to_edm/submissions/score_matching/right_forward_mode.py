# Forward mode: the score is pushed along each direction.
# keeps: all

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    d = x.shape[1]
    exact = directions is None
    rows = torch.eye(d, dtype=x.dtype) if exact else directions
    slices = []
    for v in rows:
        value, pushed = torch.func.jvp(score, (x,), (v.expand_as(x).contiguous(),))
        slices.append(pushed @ v)
    slices = torch.stack(slices)
    trace = slices.sum(0) if exact else slices.mean(0)
    return trace + value.square().sum(-1) / 2
