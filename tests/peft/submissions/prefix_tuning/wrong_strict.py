# Equal to six digits is asked, more than the task allows itself.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    c = after[..., after.shape[-1] - before.shape[-1] :]
    a = c / c.sum(-1, keepdim=True)
    return bool(((a - before).abs() <= 1e-6 * before).all())
