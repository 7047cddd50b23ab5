# Rotation the other way: nothing changes but the angle to the prefix.
# loses: test_rotary_prefix_attention

# %% solution="rotary_prefix_attention"
def rotary_prefix_attention(q, k, v, pk, pv):
    n, d = q.shape[-2:]
    cos, sin = rotary.rope_cos_sin(torch.arange(n), rotary.rope_inv_freq(d))
    q, k = rotary.apply_rope(q, cos, -sin), rotary.apply_rope(k, cos, -sin)
    k = torch.cat([pk.expand(len(k), -1, -1, -1), k], 2)
    v = torch.cat([pv.expand(len(v), -1, -1, -1), v], 2)
    mask = torch.ones(n, k.shape[2], dtype=torch.bool).tril(pk.shape[1])
    scores = (q @ k.mT / d**0.5).masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v
