# Every visit counts.
# loses: test_first_visit_means

# %% solution="first_visit_means"
def first_visit_means(states, G, over, n_states):
    sums, counts = np.zeros(n_states), np.zeros(n_states, np.int64)
    for s, g in zip(states.tolist(), G):
        sums[s] += g
        counts[s] += 1
    return sums / np.maximum(counts, 1), counts
