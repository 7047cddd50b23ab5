# Takes the log-sum-exp as one more column of O: value 1, so that D and g join.
# keeps: all

# %% solution="tiled_gradients"
def tiled_gradients(q, k, v, out, grads, block, causal):
    n_q, n_k = q.shape[-2], k.shape[-2]
    (o, lse), (do, dlse) = out, grads
    wide = torch.cat([do, (dlse - (do * o).sum(-1)).unsqueeze(-1)], -1)
    one = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(one)
    low = torch.where(lse.isinf(), 0.0, lse).unsqueeze(-1)
    for a in range(0, n_q, block):
        r = slice(a, a + block)
        for s in range(0, n_k, block):
            c = slice(s, s + block)
            x = q[..., r, :] @ k[..., c, :].mT * q.shape[-1] ** -0.5 - low[..., r, :]
            if causal:
                x = x.masked_fill(
                    torch.ones(x.shape[-2:], dtype=torch.bool).triu(
                        a + n_k - n_q - s + 1
                    ),
                    -torch.inf,
                )
            p = x.exp()
            dv[..., c, :] += p.mT @ wide[..., r, :]
            ds = p * (wide[..., r, :] @ one[..., c, :].mT) * q.shape[-1] ** -0.5
            dq[..., r, :] += ds @ k[..., c, :]
            dk[..., c, :] += ds.mT @ q[..., r, :]
    return dq, dk, dv[..., :-1]
