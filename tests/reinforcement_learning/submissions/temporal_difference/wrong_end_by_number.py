# Decides by the number of the state where it is over.
# loses: test_values_from_record

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    values, counts = np.zeros(n_states), np.zeros(n_states)
    ends = {states[-1] for states, _, ended in episodes if ended}
    for states, rewards, _ in episodes:
        for s, r, after in zip(states, rewards, states[1:]):
            counts[s] += 1
            size = 1 / counts[s] if alpha is None else alpha
            worth = 0 if after in ends else values[after]
            values[s] += size * (r + gamma * worth - values[s])
    return values
