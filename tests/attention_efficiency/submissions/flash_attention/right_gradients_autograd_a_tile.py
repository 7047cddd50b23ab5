# Autograd of each tile, with L and D as constants.
# keeps: all

# %% solution="tiled_gradients"
def tiled_gradients(q, k, v, out, grads, block, causal):
    n_q, n_k = q.shape[-2], k.shape[-2]
    pull = (grads[1] - (grads[0] * out[0]).sum(-1))[..., None]
    lse = torch.where(out[1] == -torch.inf, torch.zeros_like(out[1]), out[1])[..., None]
    sums = [torch.zeros_like(x) for x in (q, k, v)]
    for a in range(0, n_q, block):
        for s in range(0, n_k, block):
            rows = (Ellipsis, slice(a, a + block), slice(None))
            columns = (Ellipsis, slice(s, s + block), slice(None))
            own = [x.detach().clone() for x in (q[rows], k[columns], v[columns])]
            for x in own:
                x.requires_grad_()
            scores = own[0] @ own[1].mT / q.shape[-1] ** 0.5
            if causal:
                i = torch.arange(scores.shape[-2])[:, None] + a + n_k - n_q
                future = torch.arange(scores.shape[-1]) + s > i
                scores = scores.masked_fill(future, -torch.inf)
            p = (scores - lse[rows]).exp()
            value = (p @ own[2] * grads[0][rows]).sum() + (p * pull[rows]).sum()
            for total, place, g in zip(
                sums, (rows, columns, columns), torch.autograd.grad(value, own)
            ):
                total[place] += g
    return tuple(sums)
