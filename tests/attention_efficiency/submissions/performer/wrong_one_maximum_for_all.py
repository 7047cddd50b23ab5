# One maximum for all heads and queries: short ones vanish.
# loses: test_softmax_features

# %% solution="softmax_features"
def softmax_features(x, W, is_query, stabilize):
    scaled = x / x.shape[-1] ** 0.25
    exponent = scaled @ W.T - scaled.square().sum(-1, keepdim=True) / 2
    if stabilize:
        exponent = exponent - exponent.max()
    return exponent.exp() / len(W) ** 0.5
