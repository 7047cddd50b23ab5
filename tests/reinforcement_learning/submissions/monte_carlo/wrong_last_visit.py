# Takes the last visit of each episode.
# loses: test_first_visit_means

# %% solution="first_visit_means"
def first_visit_means(states, G, over, n_states):
    sums, counts = np.zeros(n_states), np.zeros(n_states, np.int64)
    seen = {}
    for k, (s, g) in enumerate(zip(states.tolist(), G)):
        seen[s] = g
        if over[k] or k == len(G) - 1:
            for s, g in seen.items():
                sums[s] += g
                counts[s] += 1
            seen = {}
    return sums / np.maximum(counts, 1), counts
