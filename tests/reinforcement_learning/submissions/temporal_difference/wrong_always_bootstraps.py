# Bootstraps from the last state of an episode that ended too.
# loses: test_values_from_record

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    values, counts = np.zeros(n_states), np.zeros(n_states)
    for states, rewards, _ in episodes:
        for s, r, after in zip(states, rewards, states[1:]):
            counts[s] += 1
            size = 1 / counts[s] if alpha is None else alpha
            values[s] += size * (r + gamma * values[after] - values[s])
    return values
