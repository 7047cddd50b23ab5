# Every direction and its opposite: twice the features.
# keeps: all

# %% solution="softmax_features"
def softmax_features(x, W, is_query, stabilize):
    W = torch.cat([W, -W])
    d = x.shape[-1]
    exponent = torch.einsum("...d,md->...m", x, W) / d**0.25
    exponent = exponent - (x * x).sum(-1)[..., None] / (2 * math.sqrt(d))
    if stabilize:
        top = exponent.max(-1, keepdim=True).values
        if not is_query:
            top = top.max(-2, keepdim=True).values
        exponent = exponent - top
    return torch.exp(exponent - math.log(len(W)) / 2)
