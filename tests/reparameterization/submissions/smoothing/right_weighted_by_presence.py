# All labels, those that do not occur with weight 0 and a harmless denominator.
# keeps: all

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    p, there = logits.sigmoid(), (y.sum(0) > 0).to(logits.dtype)
    sums = p.sum(0) + beta**2 * y.sum(0) + (1 - there)
    losses = 1 - (1 + beta**2) * (p * y).sum(0) / sums
    return (losses * there).sum() / there.sum().clamp_min(1)
