# Right, and overflows for long vectors.
# loses: test_favor_attention

# %% solution="favor_attention"
def favor_attention(q, k, v, W, causal):
    def exponent(x):
        x = x / x.shape[-1] ** 0.25
        return x @ W.T - x.square().sum(-1, keepdim=True) / 2

    a, b = exponent(q), exponent(k)
    a = a.exp()
    b = b.exp()
    if causal:
        state = (b[..., :, None] * v[..., None, :]).cumsum(-3)
        total = b.cumsum(-2)
        return (a[..., None, :] @ state)[..., 0, :] / (a * total).sum(-1, keepdim=True)
    return a @ (b.mT @ v) / (a @ b.sum(-2)[..., None])
