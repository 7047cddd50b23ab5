# Faint weights drown in the absolute tolerance of allclose.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., after.shape[-1] - before.shape[-1] :]
    again = content / content.sum(-1, keepdim=True)
    return torch.allclose(again, before, rtol=1e-3)
