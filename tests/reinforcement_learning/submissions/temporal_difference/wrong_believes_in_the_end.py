# Adds what the values say about the end.
# loses: test_learn_n_steps

# %% solution="learn_n_steps"
def learn_n_steps(values, states, rewards, n, alpha, gamma):
    values, T = values.copy(), len(rewards)
    for t in range(T):
        last = min(t + n, T)
        target = sum(gamma**k * r for k, r in enumerate(rewards[t:last]))
        target += gamma ** (last - t) * values[states[last]]
        values[states[t]] += alpha * (target - values[states[t]])
    return values
