# Keys in the outer loop, stats of all queries kept.
# keeps: all

# %% solution="windowed_attention"
def windowed_attention(q, k, v, window, block_q, block_k):
    n_q, n_k = q.shape[-2], k.shape[-2]
    shift = n_k - n_q
    m = q.new_full((*q.shape[:-1], 1), float("-inf"))
    total = torch.zeros_like(m)
    acc = q.new_zeros(*q.shape[:-1], v.shape[-1])
    for s in range(0, n_k, block_k):
        t = min(s + block_k, n_k)
        for a in range(0, n_q, block_q):
            b = min(a + block_q, n_q)
            if b - 1 + shift < s or a + shift - (t - 1) >= window:
                continue
            place = torch.arange(a, b)[:, None] + shift
            key = torch.arange(s, t)
            seen = (key <= place) & (key > place - window)
            scores = torch.einsum(
                "...id,...jd->...ij", q[..., a:b, :], k[..., s:t, :]
            ) / (q.shape[-1] ** 0.5)
            scores = torch.where(seen, scores, float("-inf"))
            old = m[..., a:b, :]
            new = torch.maximum(old, scores.amax(-1, keepdim=True))
            safe = torch.where(new.isinf(), 0.0, new)
            p = torch.exp(scores - safe)
            c = torch.exp(old - safe)
            total[..., a:b, :] = c * total[..., a:b, :] + p.sum(-1, keepdim=True)
            acc[..., a:b, :] = c * acc[..., a:b, :] + p @ v[..., s:t, :]
            m[..., a:b, :] = new
    return acc / torch.where(total > 0, total, 1.0)
