# The mixture with its gate, content and prefix each by themselves.
# keeps: all

# %% solution="rotary_prefix_attention"
def rotary_prefix_attention(q, k, v, pk, pv):
    n, d = q.shape[-2:]
    cos, sin = rotary.rope_cos_sin(torch.arange(n), rotary.rope_inv_freq(d))
    q, k = rotary.apply_rope(q, cos, sin), rotary.apply_rope(k, cos, sin)
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
    own = (q @ k.mT / d**0.5).masked_fill(hidden, -torch.inf)
    before = q @ pk.mT / d**0.5
    odds = before.logsumexp(-1, True) - own.logsumexp(-1, True)
    gate = odds.sigmoid()
    return (1 - gate) * (own.softmax(-1) @ v) + gate * (before.softmax(-1) @ pv)
