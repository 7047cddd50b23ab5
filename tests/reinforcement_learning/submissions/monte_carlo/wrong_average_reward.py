# The mean reward to the end of the episode, undiscounted.
# loses: test_stream_returns

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G, carried, left = np.zeros(len(rewards)), 0.0, 0
    for k in reversed(range(len(rewards))):
        if over[k]:
            carried, left = 0.0, 0
        carried = rewards[k] + gamma * carried
        left += 1
        G[k] = carried / left
    return G
