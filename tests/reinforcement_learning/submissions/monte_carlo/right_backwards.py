# From the end, where an earlier visit overwrites a later one; running means.
# keeps: all

# %% solution="first_visit_means"
def first_visit_means(states, G, over, n_states):
    values, counts, kept = np.zeros(n_states), np.zeros(n_states, dtype=np.int64), {}
    for k in range(len(states) - 1, -2, -1):
        if k < 0 or over[k]:
            for s, g in kept.items():
                counts[s] += 1
                values[s] += (g - values[s]) / counts[s]
            kept = {}
        if k >= 0:
            kept[int(states[k])] = G[k]
    return values, counts
