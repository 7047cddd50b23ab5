# One count over all labels: frequent labels rule.
# loses: test_f_beta_loss, test_f_beta_loss_gradient

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    p = logits.sigmoid()
    found = (1 + beta**2) * (p * y).sum()
    return (y.sum() > 0) * (1 - found / (p.sum() + beta**2 * y.sum()).clamp_min(1e-12))
