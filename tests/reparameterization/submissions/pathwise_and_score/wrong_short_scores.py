# The length of the score, not its square.
# loses: test_best_baselines

# %% solution="best_baselines"
def best_baselines(logits, values):
    p = logits.softmax(-1)
    weights = p[:, None] * (torch.eye(len(p), dtype=p.dtype) - p).abs()
    weighted = values[:, None] * weights
    return weighted.sum() / weights.sum(), weighted.sum(0) / weights.sum(0)
