# The value is rescued from 0/0 by torch.where; its gradient is not.
# loses: test_f_beta_loss_gradient

# %% solution="f_beta_loss"
def f_beta_loss(logits, y, beta):
    p, there = logits.sigmoid(), y.sum(0) > 0
    score = (1 + beta**2) * (p * y).sum(0) / (p.sum(0) + beta**2 * y.sum(0))
    kept = torch.where(there, 1 - score, 0.0)
    return kept.sum() / there.sum().clamp_min(1)
