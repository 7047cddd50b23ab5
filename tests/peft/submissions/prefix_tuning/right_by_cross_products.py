# a_ij b_ik = a_ik b_ij for each pair of keys, relative to their size.
# keeps: all

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after.double()[..., after.shape[-1] - before.shape[-1] :]
    one = before.double()[..., :, None] * content[..., None, :]
    other = one.mT
    return bool(((one - other).abs() <= 1e-3 * torch.maximum(one, other)).all())
