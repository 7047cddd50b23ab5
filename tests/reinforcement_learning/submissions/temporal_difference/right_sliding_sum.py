# A sum that slides along the episode, in the box's times t and tau.
# keeps: all

# %% solution="learn_n_steps"
def learn_n_steps(values, states, rewards, n, alpha, gamma):
    from collections import deque

    v, T, last = values.tolist(), len(rewards), len(rewards)
    window, t = deque(), 0
    while True:
        if t < T:
            window.append(rewards[t])
        tau = t - n + 1
        if tau >= 0:
            gain = 0.0 if tau + n >= last else v[states[tau + n]]
            for r in reversed(window):
                gain = r + gamma * gain
            v[states[tau]] += alpha * (gain - v[states[tau]])
            window.popleft()
        if tau == T - 1:
            return np.array(v)
        t += 1
