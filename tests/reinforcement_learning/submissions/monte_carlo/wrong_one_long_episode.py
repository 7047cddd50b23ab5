# Never looks at the ends of episodes.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried = np.zeros(len(rewards)), 0.0
    for k in reversed(range(len(rewards))):
        carried = rewards[k] + gamma * carried
        G[k] = carried
    return G
