# Keeps all tiles for a second loop.
# loses: test_tiled_gradients_memory

# %% solution="tiled_gradients"
def tiled_gradients(q, k, v, out, grads, block, causal):
    n_q, n_k, scale = q.shape[-2], k.shape[-2], q.shape[-1] ** -0.5
    (o, lse), (do, dlse) = out, grads
    extra = (dlse - (do * o).sum(-1))[..., None]
    finite = lse.masked_fill(lse == -torch.inf, 0.0)[..., None]
    kept = []
    for a in range(0, n_q, block):
        r = slice(a, min(a + block, n_q))
        for s in range(0, n_k, block):
            c = slice(s, min(s + block, n_k))
            scores = scale * q[..., r, :] @ k[..., c, :].mT
            if causal:
                i = torch.arange(r.start, r.stop)[:, None] + n_k - n_q
                future = torch.arange(c.start, c.stop) > i
                scores = scores.masked_fill(future, -torch.inf)
            kept.append((r, c, (scores - finite[..., r, :]).exp()))
    dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
    for r, c, p in kept:
        ds = scale * p * (do[..., r, :] @ v[..., c, :].mT + extra[..., r, :])
        dv[..., c, :] += p.mT @ do[..., r, :]
        dq[..., r, :] += ds @ k[..., c, :]
        dk[..., c, :] += ds.mT @ q[..., r, :]
    return dq, dk, dv
