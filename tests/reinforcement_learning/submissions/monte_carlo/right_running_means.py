# Episode by episode, with running means as in Sutton & Barto 5.6.
# keeps: all

# %% solution="off_policy_values"
def off_policy_values(states, actions, G, over, pi, b, weighted):
    values, total = np.zeros(len(pi)), np.zeros(len(pi))
    start = 0
    for stop in [*(np.flatnonzero(over) + 1).tolist(), len(states)]:
        rho = 1.0
        weights = {}
        for k in range(stop - 1, start - 1, -1):
            s, a = int(states[k]), int(actions[k])
            rho = rho * pi[s, a] / b[s, a]
            weights[s] = (rho, G[k])
        for s, (rho, g) in weights.items():
            total[s] += rho if weighted else 1.0
            if total[s] > 0:
                target = g if weighted else rho * g
                step = (rho if weighted else 1.0) / total[s]
                values[s] += step * (target - values[s])
        start = stop
    return values
