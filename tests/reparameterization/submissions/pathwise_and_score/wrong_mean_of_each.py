# The common one as the mean of the others: each must count by its parabola.
# loses: test_best_baselines

# %% solution="best_baselines"
def best_baselines(logits, values):
    p = logits.softmax(-1)
    weights = p[:, None] * (torch.eye(len(p), dtype=p.dtype) - p).square()
    each = (values[:, None] * weights).sum(0) / weights.sum(0)
    return each.mean(), each
