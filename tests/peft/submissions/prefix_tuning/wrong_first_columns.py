# The prefix is taken to stand at the end.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., : before.shape[-1]]
    again = content / content.sum(-1, keepdim=True)
    return bool(((again - before).abs() <= 1e-3 * before).all())
