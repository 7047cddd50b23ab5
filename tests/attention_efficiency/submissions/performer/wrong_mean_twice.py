# Divided by m in both factors, not by its root.
# loses: test_softmax_features

# %% solution="softmax_features"
def softmax_features(x, W, is_query, stabilize):
    scaled = x / x.shape[-1] ** 0.25
    exponent = scaled @ W.T - scaled.square().sum(-1, keepdim=True) / 2
    if stabilize:
        axes = (-1,) if is_query else (-2, -1)
        exponent = exponent - exponent.amax(axes, keepdim=True)
    return exponent.exp() / len(W)
