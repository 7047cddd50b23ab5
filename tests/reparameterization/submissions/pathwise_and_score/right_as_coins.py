# Each coordinate as a coin: this category against all the others.
# keeps: all

# %% solution="best_baselines"
def best_baselines(logits, values):
    p = torch.softmax(logits, 0)
    rest = ((p * values).sum() - p * values) / (1 - p)
    each = (1 - p) * values + p * rest
    weights = p * (1 - p)
    return (weights * each).sum() / weights.sum(), each
