# Step sizes 1/k with k counting all steps instead of those of the state.
# loses: test_values_from_record

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    values, count = np.zeros(n_states), 0
    for states, rewards, ended in episodes:
        for t, r in enumerate(rewards):
            s, after = states[t], states[t + 1]
            over = ended and t == len(rewards) - 1
            count += 1
            size = 1 / count if alpha is None else alpha
            values[s] += size * (r + (not over) * gamma * values[after] - values[s])
    return values
