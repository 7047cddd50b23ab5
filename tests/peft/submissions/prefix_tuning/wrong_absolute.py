# Differences are absolute: what happens to faint weights goes unseen.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., after.shape[-1] - before.shape[-1] :]
    again = content / content.sum(-1, keepdim=True)
    return bool(((again - before).abs() <= 1e-3).all())
