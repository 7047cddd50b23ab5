# The mean over all labels: one that does not occur counts as a miss.
# loses: test_f_beta_loss, test_f_beta_loss_gradient

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    p = logits.sigmoid()
    sums = (p.sum(0) + beta**2 * y.sum(0)).clamp_min(1e-12)
    return 1 - ((1 + beta**2) * (p * y).sum(0) / sums).mean()
