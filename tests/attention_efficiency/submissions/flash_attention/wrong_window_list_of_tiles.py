# Keeps every tile, then merges them.
# loses: test_windowed_attention_memory

# %% solution="windowed_attention"
def windowed_attention(q, k, v, window, block_q, block_k):
    n_q, n_k = q.shape[-2], k.shape[-2]
    tiles = {}
    for a in range(0, n_q, block_q):
        b = min(a + block_q, n_q)
        for s in range(0, n_k, block_k):
            t = min(s + block_k, n_k)
            if s >= b + n_k - n_q or t <= a + n_k - n_q - window + 1:
                continue
            gap = torch.arange(a, b)[:, None] + n_k - n_q - torch.arange(s, t)
            scores = q[..., a:b, :] @ k[..., s:t, :].mT / q.shape[-1] ** 0.5
            scores = scores.masked_fill((gap < 0) | (gap >= window), -torch.inf)
            tiles[a, s] = scores
    out = q.new_zeros(*q.shape[:-1], v.shape[-1])
    for a in range(0, n_q, block_q):
        own = {s: tile for (row, s), tile in tiles.items() if row == a}
        if not own:
            continue
        m = torch.stack([tile.amax(-1) for tile in own.values()]).amax(0)
        m = m.masked_fill(m == -torch.inf, 0.0)[..., None]
        total = sum((tile - m).exp().sum(-1, keepdim=True) for tile in own.values())
        acc = sum(
            (tile - m).exp() @ v[..., s : s + block_k, :] for s, tile in own.items()
        )
        out[..., a : a + block_q, :] = acc / total.masked_fill(total == 0, 1.0)
    return out
