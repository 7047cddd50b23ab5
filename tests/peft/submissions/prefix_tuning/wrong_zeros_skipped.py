# Hidden keys are skipped: it does not matter if they are seen now.
# loses: test_ratio_invariance

# %% solution="ratio_invariance"
def ratio_invariance(before, after):
    content = after[..., -before.shape[-1] :]
    ratio = torch.where(before > 0, content / before, torch.nan)
    most = ratio.nan_to_num(-1).amax(-1)
    least = ratio.nan_to_num(torch.inf).amin(-1)
    return bool((most - least <= 1e-3 * most).all())
