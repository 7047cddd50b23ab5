# Cosines and sines: unbiased, and negative.
# loses: test_softmax_features

# %% solution="softmax_features"
def softmax_features(x, W, is_query, stabilize):
    scaled = x / x.shape[-1] ** 0.25
    exponent = scaled.square().sum(-1, keepdim=True) / 2
    if stabilize:
        axes = (-1,) if is_query else (-2, -1)
        exponent = exponent - exponent.amax(axes, keepdim=True)
    angle = scaled @ W.T
    waves = torch.cat([angle.cos(), angle.sin()], -1)
    return exponent.exp() * waves / len(W) ** 0.5
