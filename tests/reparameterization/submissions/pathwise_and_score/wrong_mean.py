# The mean of f for all: not the best, though near it.
# loses: test_best_baselines

# %% solution="best_baselines"
def best_baselines(logits, values):
    mean = logits.softmax(-1) @ values
    return mean, mean.expand(len(values)).clone()
