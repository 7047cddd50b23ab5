# Takes an episode that was cut short for one that ended.
# loses: test_values_from_record

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    values, counts = np.zeros(n_states), np.zeros(n_states)
    for states, rewards, _ in episodes:
        for t, r in enumerate(rewards):
            s = states[t]
            worth = 0 if t == len(rewards) - 1 else values[states[t + 1]]
            counts[s] += 1
            size = 1 / counts[s] if alpha is None else alpha
            values[s] += size * (r + gamma * worth - values[s])
    return values
