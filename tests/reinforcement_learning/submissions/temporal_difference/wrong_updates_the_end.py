# Moves the last state of an episode towards 0 as well.
# loses: test_values_from_record

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    values, counts = np.zeros(n_states), np.zeros(n_states)
    for states, rewards, ended in episodes:
        for t, s in enumerate(states):
            if t < len(rewards):
                over = ended and t == len(rewards) - 1
                worth = 0 if over else values[states[t + 1]]
                target = rewards[t] + gamma * worth
            else:
                target = 0.0
            counts[s] += 1
            size = 1 / counts[s] if alpha is None else alpha
            values[s] += size * (target - values[s])
    return values
