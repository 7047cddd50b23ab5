# Round and round: the Bellman equation of the counted process, until it rests.
# keeps: all

# %% solution="two_answers"
def two_answers(episodes, n_states, gamma):
    steps, gains = {}, {}
    for states, rewards in episodes:
        for t, r in enumerate(rewards):
            steps.setdefault(states[t], []).append((r, states[t + 1]))
            whole = sum(gamma**k * x for k, x in enumerate(rewards[t:]))
            gains.setdefault(states[t], []).append(whole)
    td, mc = np.zeros(n_states), np.zeros(n_states)
    for _ in range(5000):
        change = 0.0
        for s, pairs in steps.items():
            new = sum(r + gamma * td[after] for r, after in pairs) / len(pairs)
            change, td[s] = max(change, abs(new - td[s])), new
        if change < 1e-10:
            break
    for s, heard in gains.items():
        mc[s] = np.mean(heard)
    return td, mc
