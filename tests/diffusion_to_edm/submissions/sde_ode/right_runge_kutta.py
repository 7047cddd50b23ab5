# Order four, the divergence by forward differentiation.
# keeps: all

# %% solution="carry_density"
def carry_density(velocity, x, log_p, ts):
    def slope(state, t):
        rows, spread = state[:, :-1], 0
        for j in range(rows.shape[1]):
            unit = torch.zeros_like(rows)
            unit[:, j] = 1
            v, moved = torch.func.jvp(lambda y: velocity(y, t), (rows,), (unit,))
            spread = spread + moved[:, j : j + 1]
        return torch.cat([v, -spread], 1)

    state = torch.cat([x, log_p[:, None]], 1)
    for i in range(len(ts) - 1):
        t, h = ts[i], ts[i + 1] - ts[i]
        a = slope(state, t)
        b = slope(state + h / 2 * a, t + h / 2)
        c = slope(state + h / 2 * b, t + h / 2)
        d = slope(state + h * c, t + h)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    return state[:, :-1], state[:, -1]
