# Goes through each episode from its end, so that values are newer than they should be.
# loses: test_values_from_record

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    values, counts = np.zeros(n_states), np.zeros(n_states)
    for states, rewards, ended in episodes:
        for t in range(len(rewards) - 1, -1, -1):
            s, after = states[t], states[t + 1]
            over = ended and t == len(rewards) - 1
            counts[s] += 1
            size = 1 / counts[s] if alpha is None else alpha
            goal = rewards[t] + (0 if over else gamma * values[after])
            values[s] += size * (goal - values[s])
    return values
