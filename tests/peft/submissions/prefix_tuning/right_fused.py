# PyTorch's fused attention with a mask that is added.
# keeps: all

# %% solution="rotary_prefix_attention"
def rotary_prefix_attention(q, k, v, pk, pv):
    batch, _, n, d = q.shape
    m = pk.shape[1]
    cos, sin = rotary.rope_cos_sin(torch.arange(n), rotary.rope_inv_freq(d))
    q, k = (rotary.apply_rope(x, cos, sin) for x in (q, k))
    hidden = torch.arange(n) > torch.arange(n)[:, None]
    bias = torch.zeros(n, m + n, dtype=q.dtype)
    bias[:, m:].masked_fill_(hidden, -torch.inf)
    k = torch.cat([pk.repeat(batch, 1, 1, 1), k], -2)
    v = torch.cat([pv.repeat(batch, 1, 1, 1), v], -2)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, bias)
