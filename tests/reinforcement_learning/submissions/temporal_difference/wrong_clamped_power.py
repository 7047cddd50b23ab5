# Where the episode ends, takes the last state's value for the one n steps on.
# loses: test_learn_n_steps

# %% solution="learn_n_steps"
def learn_n_steps(values, states, rewards, n, alpha, gamma):
    values, T = values.copy(), len(rewards)
    for t in range(T):
        target = sum(gamma**k * r for k, r in enumerate(rewards[t : t + n]))
        target += gamma**n * values[states[min(t + n, T - 1)]]
        values[states[t]] += alpha * (target - values[states[t]])
    return values
