# Believes what the table says about the end.
# loses: test_learn_by_watching

# %% solution="learn_by_watching"
def learn_by_watching(steps, q, alpha, gamma):
    q = q.copy()
    for s, a, r, after, _ in steps:
        q[s, a] += alpha * (r + gamma * q[after].max() - q[s, a])
    return q
