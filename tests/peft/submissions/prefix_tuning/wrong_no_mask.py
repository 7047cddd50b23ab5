# Every query sees all of the content.
# loses: test_rotary_prefix_attention

# %% solution="rotary_prefix_attention"
def rotary_prefix_attention(q, k, v, pk, pv):
    n, d = q.shape[-2:]
    cos, sin = rotary.rope_cos_sin(torch.arange(n), rotary.rope_inv_freq(d))
    q, k = rotary.apply_rope(q, cos, sin), rotary.apply_rope(k, cos, sin)
    k = torch.cat([pk.expand(len(k), -1, -1, -1), k], 2)
    v = torch.cat([pv.expand(len(v), -1, -1, -1), v], 2)
    scores = q @ k.mT / d**0.5
    return scores.softmax(-1) @ v
