# One added above and below, as in the Dice loss: another value on small batches.
# loses: test_f_beta_loss, test_f_beta_loss_gradient

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    there = y.sum(0) > 0
    p, y = logits.sigmoid()[:, there], y[:, there]
    found = (1 + beta**2) * (p * y).sum(0) + 1
    score = found / (p.sum(0) + beta**2 * y.sum(0) + 1)
    return (1 - score).sum() / there.sum().clamp_min(1)
