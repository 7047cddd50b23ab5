# Keeps the best value of each state beside the table.
# keeps: all

# %% solution="learn_by_watching"
def learn_by_watching(steps, q, alpha, gamma):
    table = {s: list(map(float, row)) for s, row in enumerate(q)}
    best = {s: max(row) for s, row in table.items()}
    for s, a, r, after, over in steps:
        target = r if over else r + gamma * best[after]
        table[s][a] = table[s][a] * (1 - alpha) + alpha * target
        best[s] = max(table[s])
    return np.array(list(table.values()))
