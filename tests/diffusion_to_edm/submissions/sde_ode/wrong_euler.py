# Euler's method.
# loses: test_carry_density

# %% solution="carry_density"
def carry_density(velocity, x, log_p, ts):
    def slopes(x, t):
        x = x.detach().requires_grad_()
        v = velocity(x, t)
        divergence = torch.zeros_like(log_p)
        for j in range(x.shape[1]):
            (row,) = torch.autograd.grad(v[:, j].sum(), x, retain_graph=True)
            divergence = divergence + row[:, j]
        return v.detach(), -divergence

    x, log_p = x.clone(), log_p.clone()
    for i in range(len(ts) - 1):
        t, after = ts[i], ts[i + 1]
        h = after - t
        v, change = slopes(x, t)
        x = x + h * v
        log_p = log_p + h * change
    return x, log_p
