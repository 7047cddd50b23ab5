# All categories counted alike, whatever their probability.
# loses: test_best_baselines

# %% solution="best_baselines"
def best_baselines(logits, values):
    p = logits.softmax(-1)
    weights = (torch.eye(len(p), dtype=p.dtype) - p).square()
    weighted = values[:, None] * weights
    return weighted.sum() / weights.sum(), weighted.sum(0) / weights.sum(0)
