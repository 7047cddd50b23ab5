# Midpoint rule, the divergence by differences in double precision.
# keeps: all

# %% solution="carry_density"
def carry_density(velocity, x, log_p, ts):
    kind = x.dtype
    x, log_p = x.detach().double(), log_p.double()
    for i in range(len(ts) - 1):
        t, after = ts[i], ts[i + 1]
        h, eps = after - t, 1e-5
        half = x + h / 2 * velocity(x, t)
        middle = (t + after) / 2
        for j in range(x.shape[1]):
            push = torch.zeros_like(x)
            push[:, j] = eps
            ahead, behind = velocity(half + push, middle), velocity(half - push, middle)
            log_p = log_p - h * (ahead - behind)[:, j] / (2 * eps)
        x = x + h * velocity(half, middle)
    return x.to(kind), log_p.to(kind)
