# Monte Carlo counts the first visit of an episode only.
# loses: test_two_answers

# %% solution="two_answers"
def two_answers(episodes, n_states, gamma):
    counts, sums = np.zeros((n_states, n_states)), np.zeros(n_states)
    found = [[] for _ in range(n_states)]
    for states, rewards in episodes:
        gain, first = 0.0, {}
        for t in reversed(range(len(rewards))):
            gain = rewards[t] + gamma * gain
            first[states[t]] = gain
            counts[states[t], states[t + 1]] += 1
            sums[states[t]] += rewards[t]
        for s, g in first.items():
            found[s].append(g)
    td = np.linalg.solve(np.diag(np.maximum(counts.sum(1), 1)) - gamma * counts, sums)
    return td, np.array([np.mean(g) if g else 0.0 for g in found])
