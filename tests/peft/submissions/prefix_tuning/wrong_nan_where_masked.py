# 0/0 at hidden keys counts as a change.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., -before.shape[-1] :]
    ratio = content / before
    return bool((ratio.amax(-1) - ratio.amin(-1) <= 1e-3 * ratio.amax(-1)).all())
