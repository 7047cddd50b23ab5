# One pass of TD(0) with step sizes 1/k, not the place of rest.
# loses: test_two_answers

# %% solution="two_answers"
def two_answers(episodes, n_states, gamma):
    td, seen = np.zeros(n_states), np.zeros(n_states)
    mc = np.zeros(n_states)
    for states, rewards in episodes:
        gains, gain = [], 0.0
        for r in reversed(rewards):
            gain = r + gamma * gain
            gains.append(gain)
        for s, r, after, g in zip(states, rewards, states[1:], reversed(gains)):
            seen[s] += 1
            mc[s] += (g - mc[s]) / seen[s]
            td[s] += (r + gamma * td[after] - td[s]) / seen[s]
    return td, mc
