# Never forgets which pairs it saw.
# loses: test_exploring_starts_round

# %% solution="exploring_starts_round"
def exploring_starts_round(q, counts, states, actions, G, over):
    q, counts = q.copy(), counts.copy()
    seen = set()
    for s, a, g in zip(states.tolist(), actions.tolist(), G):
        if (s, a) not in seen:
            seen.add((s, a))
            counts[s, a] += 1
            q[s, a] += (g - q[s, a]) / counts[s, a]
    return q, counts, q.argmax(1)
