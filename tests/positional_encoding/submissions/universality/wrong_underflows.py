# Multiplies first and divides afterwards: 0/0 where C is tiny.
# loses: test_split_weights

# %% solution="split_weights"
def split_weights(scores, log_c):
    product = scores.softmax(-1) * log_c.exp()
    gain = product.sum(-1)
    return product / gain[..., None], gain.log()
