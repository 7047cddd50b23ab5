# Counts as floats.
# loses: test_first_visit_means

# %% solution="first_visit_means"
def first_visit_means(states, G, over, n_states):
    sums, counts = np.zeros(n_states), np.zeros(n_states)
    seen = set()
    for s, g, last in zip(states.tolist(), G, over):
        if s not in seen:
            seen.add(s)
            sums[s] += g
            counts[s] += 1
        if last:
            seen = set()
    return sums / np.maximum(counts, 1), counts
