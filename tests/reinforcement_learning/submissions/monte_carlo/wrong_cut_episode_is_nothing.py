# The returns of a last episode that was cut are set to 0.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried = np.zeros(len(rewards)), 0.0
    for k in reversed(range(len(rewards))):
        if over[k]:
            carried = 0.0
        carried = rewards[k] + gamma * carried
        G[k] = carried
    G[len(over) - np.argmax(over[::-1]) if over.any() else 0 :] = 0
    return G
