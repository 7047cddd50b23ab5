# The order of the keys is kept, their ratios are not asked.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., -before.shape[-1] :]
    return bool(torch.equal(content.argsort(-1), before.argsort(-1)))
