# Keys outside, dK and dV of a block finished before the next.
# keeps: all

# %% solution="tiled_gradients"
def tiled_gradients(q, k, v, out, grads, block, causal):
    n_q, n_k = q.shape[-2], k.shape[-2]
    root = q.shape[-1] ** 0.5
    dq, dks, dvs = torch.zeros_like(q), [], []
    for s in range(0, n_k, block):
        kj, vj = k[..., s : s + block, :], v[..., s : s + block, :]
        dkj, dvj = torch.zeros_like(kj), torch.zeros_like(vj)
        for a in range(0, n_q, block):
            qi, oi, doi = (x[..., a : a + block, :] for x in (q, out[0], grads[0]))
            li, gi = (x[..., a : a + block, None] for x in (out[1], grads[1]))
            scores = qi @ kj.mT / root
            seen = ~li.isinf()
            if causal:
                i = torch.arange(qi.shape[-2])[:, None] + a + n_k - n_q
                seen = seen & (torch.arange(kj.shape[-2]) + s <= i)
            p = torch.where(
                seen, (scores - torch.where(li.isinf(), 0.0, li)).exp(), 0.0
            )
            dvj += p.mT @ doi
            ds = p * ((doi @ vj.mT) - (doi * oi).sum(-1, keepdim=True) + gi) / root
            dkj += ds.mT @ qi
            dq[..., a : a + block, :] += ds @ kj
        dks.append(dkj)
        dvs.append(dvj)
    return dq, torch.cat(dks, -2), torch.cat(dvs, -2)
