# The returns of Monte Carlo are not discounted.
# loses: test_two_answers

# %% solution="two_answers"
def two_answers(episodes, n_states, gamma):
    counts, sums = np.zeros((n_states, n_states)), np.zeros(n_states)
    returns = np.zeros(n_states)
    for states, rewards in episodes:
        for t, r in enumerate(rewards):
            counts[states[t], states[t + 1]] += 1
            sums[states[t]] += r
            returns[states[t]] += sum(rewards[t:])
    left = np.maximum(counts.sum(1), 1)
    return np.linalg.solve(np.diag(left) - gamma * counts, sums), returns / left
