# One gate for all queries.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., after.shape[-1] - before.shape[-1] :]
    again = content / content.sum(-1, keepdim=True).mean()
    return bool(((again - before).abs() <= 1e-3 * before).all())
