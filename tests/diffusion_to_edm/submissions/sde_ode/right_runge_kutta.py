# Order four on points and densities as one state.
# keeps: all

# %% solution="carry_density"
def carry_density(velocity, x, log_p, ts):
    def slope(state, t):
        with torch.enable_grad():
            rows = state[:, :-1].detach().requires_grad_()
            v = velocity(rows, t)
            spread = sum(
                torch.autograd.grad(v[:, [j]].sum(), rows, retain_graph=True)[0][:, [j]]
                for j in range(rows.shape[1])
            )
        return torch.cat([v, -spread], 1).detach()

    state = torch.cat([x, log_p[:, None]], 1)
    for i in range(len(ts) - 1):
        t, h = ts[i], ts[i + 1] - ts[i]
        a = slope(state, t)
        b = slope(state + h / 2 * a, t + h / 2)
        c = slope(state + h / 2 * b, t + h / 2)
        d = slope(state + h * c, t + h)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    return state[:, :-1], state[:, -1]
