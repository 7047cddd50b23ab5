# Divides by the number of episodes.
# loses: test_first_visit_means

# %% solution="first_visit_means"
def first_visit_means(states, G, over, n_states):
    sums, counts = np.zeros(n_states), np.zeros(n_states, np.int64)
    seen = set()
    for s, g, last in zip(states.tolist(), G, over):
        if s not in seen:
            seen.add(s)
            sums[s] += g
            counts[s] += 1
        if last:
            seen = set()
    return sums / max(over.sum(), 1), counts
