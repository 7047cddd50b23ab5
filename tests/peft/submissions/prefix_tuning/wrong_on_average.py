# The mean over all weights is looked at.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., after.shape[-1] - before.shape[-1] :]
    again = content / content.sum(-1, keepdim=True)
    return bool(((again - before).abs() / before).nanmean() <= 1e-3)
