# Only the diagonal where the trace is exact.
# keeps: all

# %% solution="ism_loss"
def ism_loss(score, x, directions=None):
    x = torch.tensor(x.tolist(), dtype=x.dtype, requires_grad=True)
    value = score(x)
    if directions is None:
        pairs = [(value[:, i], i) for i in range(x.shape[1])]
        parts = [
            torch.autograd.grad(one.sum(), x, create_graph=True)[0][:, i]
            for one, i in pairs
        ]
        trace = torch.stack(parts).sum(0)
    else:
        parts = [
            (torch.autograd.grad((value * v).sum(), x, create_graph=True)[0] * v).sum(1)
            for v in directions
        ]
        trace = torch.stack(parts).mean(0)
    return 0.5 * (value**2).sum(1) + trace
