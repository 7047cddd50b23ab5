# Cumulated discounted rewards over the discount, bad for gamma = 0.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, start = np.zeros(len(rewards)), 0
    for stop in [*(np.flatnonzero(over) + 1), len(rewards)]:
        d = float(gamma) ** np.arange(stop - start)
        G[start:stop] = (d * rewards[start:stop])[::-1].cumsum()[::-1] / d
        start = stop
    return G
