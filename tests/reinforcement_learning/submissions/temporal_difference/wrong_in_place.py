# Writes into the table that was given.
# loses: test_learn_by_watching

# %% solution="learn_by_watching"
def learn_by_watching(steps, q, alpha, gamma):
    for s, a, r, after, over in steps:
        best = 0.0 if over else q[after].max()
        q[s, a] += alpha * (r + gamma * best - q[s, a])
    return q
