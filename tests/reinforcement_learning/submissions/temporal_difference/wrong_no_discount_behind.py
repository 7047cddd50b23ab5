# The factor gamma to the n before the value is missing.
# loses: test_learn_n_steps

# %% solution="learn_n_steps"
def learn_n_steps(values, states, rewards, n, alpha, gamma):
    values, T = values.copy(), len(rewards)
    for t in range(T):
        target = sum(gamma**k * r for k, r in enumerate(rewards[t : t + n]))
        if t + n < T:
            target += values[states[t + n]]
        values[states[t]] += alpha * (target - values[states[t]])
    return values
