# Forgets 1 / √d for the keys.
# loses: test_tiled_gradients

# %% solution="tiled_gradients"
def tiled_gradients(q, k, v, out, grads, block, causal):
    n_q, n_k, scale = q.shape[-2], k.shape[-2], q.shape[-1] ** -0.5
    (o, lse), (do, dlse) = out, grads
    dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
    extra = (dlse - (do * o).sum(-1))[..., None]
    finite = lse.masked_fill(lse == -torch.inf, 0.0)[..., None]
    for a in range(0, n_q, block):
        rows = slice(a, min(a + block, n_q))
        for s in range(0, n_k, block):
            columns = slice(s, min(s + block, n_k))
            scores = scale * q[..., rows, :] @ k[..., columns, :].mT
            if causal:
                i = torch.arange(rows.start, rows.stop, device=q.device)[:, None]
                j = torch.arange(columns.start, columns.stop, device=q.device)
                scores = scores.masked_fill(j > i + n_k - n_q, -torch.inf)
            p = (scores - finite[..., rows, :]).exp()
            dp = do[..., rows, :] @ v[..., columns, :].mT
            ds = scale * p * (dp + extra[..., rows, :])
            dv[..., columns, :] += p.mT @ do[..., rows, :]
            dq[..., rows, :] += ds @ k[..., columns, :]
            dk[..., columns, :] += ds.mT / scale @ q[..., rows, :]
    return dq, dk, dv
