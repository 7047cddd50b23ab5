# Exponentials without taking the largest out: right for small numbers.
# loses: test_split_weights

# %% solution="split_weights"
def split_weights(scores, log_c):
    above = (scores + log_c).exp()
    below = scores.exp().sum(-1)
    total = above.sum(-1)
    return above / total[..., None], (total / below).log()
