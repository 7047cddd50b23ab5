# R[t+1] is discounted already.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried = np.zeros(len(rewards)), 0.0
    for k in reversed(range(len(rewards))):
        if over[k]:
            carried = 0.0
        carried = gamma * (rewards[k] + carried)
        G[k] = carried
    return G
