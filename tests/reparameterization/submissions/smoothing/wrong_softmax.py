# A softmax over the labels, as if only one could be right.
# loses: test_f_beta_loss, test_f_beta_loss_gradient

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    there = y.sum(0) > 0
    p, y = logits.softmax(1)[:, there], y[:, there]
    score = (1 + beta**2) * (p * y).sum(0) / (p.sum(0) + beta**2 * y.sum(0))
    return (1 - score).sum() / there.sum().clamp_min(1)
