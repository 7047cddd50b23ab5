# Divides by the number of visits where there were none.
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
            sums[states[t]] += rewards[t]
            returns[states[t]] += gain
    with np.errstate(all="ignore"):
        left = counts.sum(1)
        model = np.nan_to_num(counts / left[:, None])
        rewards = np.nan_to_num(sums / left)
        td = np.linalg.solve(np.eye(n_states) - gamma * model, rewards)
        return td, returns / left
