# All targets from the values before the episode.
# loses: test_learn_n_steps

# %% solution="learn_n_steps"
def learn_n_steps(values, states, rewards, n, alpha, gamma):
    new, T = values.copy(), len(rewards)
    for t in range(T):
        target = sum(gamma**k * r for k, r in enumerate(rewards[t : t + n]))
        if t + n < T:
            target += gamma**n * values[states[t + n]]
        new[states[t]] += alpha * (target - new[states[t]])
    return new
