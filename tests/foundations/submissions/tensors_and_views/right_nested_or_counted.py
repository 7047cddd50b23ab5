# The quick proof where it holds, counting where it does not.
# keeps: all

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    reach, sure = 0, True
    for s, n in sorted((s, n) for s, n in zip(stride, shape) if n != 1):
        sure = sure and s > reach
        reach += s * max(n - 1, 0)
    if sure:
        return False
    t = torch.arange(reach + 1).as_strided(shape, stride)
    return t.unique().numel() < t.numel()
