# Chunks of sixteen tokens, the triangle inside each.
# keeps: all

# %% solution="favor_attention"
def favor_attention(q, k, v, W, causal):
    def exponent(x):
        x = x * x.shape[-1] ** -0.25
        return x @ W.T - (x * x).sum(-1)[..., None] / 2

    a, b = exponent(q), exponent(k)
    a = torch.exp(a - a.amax(-1)[..., None])
    b = torch.exp(b - b.flatten(-2).amax(-1)[..., None, None])
    if not causal:
        return (a @ (b.mT @ v)) / (a @ b.mT.sum(-1, keepdim=True))
    done, above, below = [], 0, 0
    for x, y, z in zip(a.split(16, -2), b.split(16, -2), v.split(16, -2)):
        inside = torch.tril(x @ y.mT)
        numerator, weight = inside @ z, inside.sum(-1, keepdim=True)
        if done:
            numerator, weight = numerator + x @ above, weight + x @ below
        done.append(numerator / weight)
        above, below = above + y.mT @ z, below + y.mT.sum(-1, keepdim=True)
    return torch.cat(done, -2)
