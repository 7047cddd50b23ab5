# One baseline for each category that may be drawn, not for each coordinate.
# loses: test_best_baselines

# %% solution="best_baselines"
def best_baselines(logits, values):
    p = logits.softmax(-1)
    weights = p[:, None] * (torch.eye(len(p), dtype=p.dtype) - p).square()
    weighted = values[:, None] * weights
    return weighted.sum() / weights.sum(), weighted.sum(1) / weights.sum(1)
