# The exponent as a difference of squared distances.
# keeps: all

# %% solution="softmax_features"
def softmax_features(x, W, is_query, stabilize):
    y = x * x.shape[-1] ** -0.25
    exponent = (W.square().sum(-1) - (y[..., None, :] - W).square().sum(-1)) / 2
    if stabilize and is_query:
        exponent = exponent - exponent.amax(-1, keepdim=True)
    if stabilize and not is_query:
        exponent = exponent - exponent.flatten(-2).amax(-1)[..., None, None]
    return torch.exp(exponent) * len(W) ** -0.5
