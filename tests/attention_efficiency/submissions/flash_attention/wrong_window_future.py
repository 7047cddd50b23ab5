# Looks as far ahead as behind.
# loses: test_windowed_attention

# %% solution="windowed_attention"
def windowed_attention(q, k, v, window, block_q, block_k):
    n_q, n_k = q.shape[-2], k.shape[-2]
    out = v.new_zeros(*q.shape[:-1], v.shape[-1])
    for a in range(0, n_q, block_q):
        b = min(a + block_q, n_q)
        place = torch.arange(a, b, device=q.device)[:, None] + n_k - n_q
        m = q.new_full((*q.shape[:-2], b - a, 1), -torch.inf)
        total, acc = torch.zeros_like(m), torch.zeros_like(out[..., a:b, :])
        for s in range(0, n_k, block_k):
            t = min(s + block_k, n_k)
            if t <= a + n_k - n_q - window + 1:
                continue
            behind = place - torch.arange(s, t, device=q.device)
            scores = q[..., a:b, :] @ k[..., s:t, :].mT / q.shape[-1] ** 0.5
            hidden = behind.abs() >= window
            scores = scores.masked_fill(hidden, -torch.inf)
            new = torch.maximum(m, scores.amax(-1, keepdim=True))
            finite = new.masked_fill(new == -torch.inf, 0.0)
            p, shrink = (scores - finite).exp(), (m - finite).exp()
            total = shrink * total + p.sum(-1, keepdim=True)
            acc = shrink * acc + p @ v[..., s:t, :]
            m = new
        out[..., a:b, :] = acc / total.masked_fill(total == 0, 1.0)
    return out
