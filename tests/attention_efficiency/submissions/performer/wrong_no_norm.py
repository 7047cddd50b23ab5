# Long keys weigh too much: the squared length is missing.
# loses: test_favor_attention

# %% solution="favor_attention"
def favor_attention(q, k, v, W, causal):
    def exponent(x):
        x = x / x.shape[-1] ** 0.25
        return x @ W.T

    a, b = exponent(q), exponent(k)
    a = (a - a.amax(-1, keepdim=True)).exp()
    b = (b - b.amax((-1, -2), keepdim=True)).exp()
    if causal:
        state = (b[..., :, None] * v[..., None, :]).cumsum(-3)
        total = b.cumsum(-2)
        return (a[..., None, :] @ state)[..., 0, :] / (a * total).sum(-1, keepdim=True)
    return a @ (b.mT @ v) / (a @ b.sum(-2)[..., None])
