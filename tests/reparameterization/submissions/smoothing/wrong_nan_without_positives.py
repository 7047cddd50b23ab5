# The mean over no label at all is NaN.
# loses: test_f_beta_loss

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    there = y.sum(0) > 0
    p, y = logits.sigmoid()[:, there], y[:, there]
    score = (1 + beta**2) * (p * y).sum(0) / (p.sum(0) + beta**2 * y.sum(0))
    return (1 - score).mean()
