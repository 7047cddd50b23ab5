# Keeps the type of the rewards.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried = np.zeros_like(rewards), 0.0
    for k in reversed(range(len(rewards))):
        if over[k]:
            carried = 0.0
        carried = rewards[k] + gamma * carried
        G[k] = carried
    return G
