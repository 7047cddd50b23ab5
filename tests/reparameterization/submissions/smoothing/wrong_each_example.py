# F-beta of each example over its labels, then the mean over examples.
# loses: test_f_beta_loss, test_f_beta_loss_gradient

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    there = y.sum(1) > 0
    p, y = logits.sigmoid()[there], y[there]
    score = (1 + beta**2) * (p * y).sum(1) / (p.sum(1) + beta**2 * y.sum(1))
    return (1 - score).sum() / there.sum().clamp_min(1)
