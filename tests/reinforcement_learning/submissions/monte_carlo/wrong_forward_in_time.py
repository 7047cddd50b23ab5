# Accumulates forward in time, what was instead of what comes.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried = np.zeros(len(rewards)), 0.0
    for k in range(len(rewards)):
        carried = rewards[k] + gamma * carried
        G[k] = carried
        if over[k]:
            carried = 0.0
    return G
