# Keeps output and log-sum-exp, and merges with a sigmoid.
# keeps: all

# %% solution="windowed_attention"
def windowed_attention(q, k, v, window, block_q, block_k):
    n_q, n_k = q.shape[-2], k.shape[-2]
    done = []
    for a in range(0, n_q, block_q):
        b = min(a + block_q, n_q)
        o = q.new_zeros(*q.shape[:-2], b - a, v.shape[-1])
        lse = q.new_full((*q.shape[:-2], b - a), -torch.inf)
        first = max(0, a + n_k - n_q - window + 1) // block_k
        for s in range(first * block_k, min(n_k, b + n_k - n_q), block_k):
            t = min(s + block_k, n_k)
            gap = torch.arange(a, b)[:, None] + n_k - n_q - torch.arange(s, t)
            scores = q[..., a:b, :] @ k[..., s:t, :].mT * q.shape[-1] ** -0.5
            scores = scores.masked_fill((gap < 0) | (gap >= window), -torch.inf)
            part = scores.softmax(-1).nan_to_num(0.0) @ v[..., s:t, :]
            own = scores.logsumexp(-1)
            both = torch.logaddexp(lse, own)
            share = (own - both.masked_fill(both == -torch.inf, 0.0)).exp()[..., None]
            o = o + share * (part - o)
            lse = both
        done.append(o)
    return torch.cat(done, -2)
