# Forgets after the last step of an episode instead of before it.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried = np.zeros(len(rewards)), 0.0
    for k in reversed(range(len(rewards))):
        carried = rewards[k] + gamma * carried
        G[k] = carried
        if over[k]:
            carried = 0.0
    return G
