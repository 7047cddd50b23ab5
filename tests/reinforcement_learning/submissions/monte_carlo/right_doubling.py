# A parallel scan: sums over 1, 2, 4, ... steps.
# keeps: all

# %% solution="stream_returns"
def stream_returns(rewards, over, gamma):
    G = np.array(rewards, dtype=float)
    keep = np.where(over, 0.0, gamma)
    span = 1
    while span < len(G):
        G[:-span] = G[:-span] + keep[:-span] * G[span:]
        keep[:-span] = keep[:-span] * keep[span:]
        keep[-span:] = 0.0
        span *= 2
    return G
