# Sarsa: the action that was taken next.
# loses: test_learn_by_watching

# %% solution="learn_by_watching"
def learn_by_watching(steps, q, alpha, gamma):
    q = q.copy()
    for i, (s, a, r, after, over) in enumerate(steps):
        follows = not over and i + 1 < len(steps)
        worth = q[after, steps[i + 1][1]] if follows else 0.0
        q[s, a] += alpha * (r + gamma * worth - q[s, a])
    return q
