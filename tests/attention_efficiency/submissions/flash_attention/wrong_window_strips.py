# A softmax over a strip of all keys in reach for each block of queries.
# loses: test_windowed_attention_memory

# %% solution="windowed_attention"
def windowed_attention(q, k, v, window, block_q, block_k):
    n_q, n_k = q.shape[-2], k.shape[-2]
    parts = []
    for a in range(0, n_q, block_q):
        b = min(a + block_q, n_q)
        low, high = max(a + n_k - n_q - window + 1, 0), max(b + n_k - n_q, 0)
        gap = torch.arange(a, b)[:, None] + n_k - n_q - torch.arange(low, high)
        scores = q[..., a:b, :] @ k[..., low:high, :].mT / q.shape[-1] ** 0.5
        scores = scores.masked_fill((gap < 0) | (gap >= window), -torch.inf)
        parts.append(scores.softmax(-1).nan_to_num(0.0) @ v[..., low:high, :])
    return torch.cat(parts, -2)
