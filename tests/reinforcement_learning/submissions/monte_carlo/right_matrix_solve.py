# A linear system, with no step from one episode to the next.
# keeps: all

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    n = len(rewards)
    follow = np.zeros((n, n))
    for k in range(n - 1):
        follow[k, k + 1] = 0.0 if over[k] else gamma
    return np.linalg.solve(np.eye(n) - follow, np.asarray(rewards, float))
