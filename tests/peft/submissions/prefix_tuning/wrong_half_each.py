# The mixture with one half for the gate.
# loses: test_rotary_prefix_attention

# %% solution="rotary_prefix_attention"
def rotary_prefix_attention(q, k, v, pk, pv):
    n, d = q.shape[-2:]
    cos, sin = rotary.rope_cos_sin(torch.arange(n), rotary.rope_inv_freq(d))
    q, k = rotary.apply_rope(q, cos, sin), rotary.apply_rope(k, cos, sin)
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
    content = (q @ k.mT / d**0.5).masked_fill(hidden, -torch.inf).softmax(-1) @ v
    prefix = (q @ pk.mT / d**0.5).softmax(-1) @ pv
    return (content + prefix) / 2
