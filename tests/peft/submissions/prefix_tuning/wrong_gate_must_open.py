# A prefix that takes nothing is no prefix.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., after.shape[-1] - before.shape[-1] :]
    again = content / content.sum(-1, keepdim=True)
    if bool((content.sum(-1) > 0.999).any()):
        return False
    return bool(((again - before).abs() <= 1e-3 * before).all())
