# The logarithm of the ratio is constant along each row, where it is finite.
# keeps: all

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., -before.shape[-1] :]
    if not torch.equal(content > 0, before > 0):
        return False
    shift = torch.where(before > 0, content.log() - before.log(), torch.nan)
    shift = shift - shift.nanmedian(-1, keepdim=True).values
    return bool((shift.nan_to_num(0.0).abs() < 1e-3).all())
