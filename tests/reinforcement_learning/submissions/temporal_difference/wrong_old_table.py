# Reads all targets from the table as it was at first.
# loses: test_learn_by_watching

# %% solution="learn_by_watching"
def learn_by_watching(steps, q, alpha, gamma):
    new = q.copy()
    for s, a, r, after, over in steps:
        best = 0.0 if over else q[after].max()
        new[s, a] += alpha * (r + gamma * best - new[s, a])
    return new
