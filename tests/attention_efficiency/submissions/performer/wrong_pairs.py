# Right, by a table of all pairs.
# loses: test_favor_attention

# %% solution="favor_attention"
def favor_attention(q, k, v, W, causal):
    def exponent(x):
        x = x / x.shape[-1] ** 0.25
        return x @ W.T - x.square().sum(-1, keepdim=True) / 2

    a, b = exponent(q), exponent(k)
    a = (a - a.amax(-1, keepdim=True)).exp()
    b = (b - b.amax((-1, -2), keepdim=True)).exp()
    weights = a @ b.mT
    weights = weights.tril() if causal else weights
    return weights / weights.sum(-1, keepdim=True) @ v
