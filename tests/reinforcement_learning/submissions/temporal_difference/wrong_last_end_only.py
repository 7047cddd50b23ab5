# Merges all ends into a state that is worth what came in there.
# loses: test_two_answers

# %% solution="two_answers"
def two_answers(episodes, n_states, gamma):
    counts, sums = np.zeros((n_states, n_states)), np.zeros(n_states)
    returns = np.zeros(n_states)
    for states, rewards in episodes:
        gain = 0.0
        for t in reversed(range(len(rewards))):
            gain = rewards[t] + gamma * gain
            counts[states[t], states[t + 1]] += 1
            sums[states[t + 1]] += rewards[t]
            returns[states[t]] += gain
    left = np.maximum(counts.sum(1), 1)
    return np.linalg.solve(np.diag(left) - gamma * counts, sums), returns / left
