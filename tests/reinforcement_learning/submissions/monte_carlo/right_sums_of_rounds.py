# Vectorised: old sums and new sums over both counts.
# keeps: all

# %% solution="exploring_starts_round"
def exploring_starts_round(q, counts, states, actions, G, over):
    episode = np.concatenate([[0], np.cumsum(over[:-1])])
    pairs = states * q.shape[1] + actions
    _, first = np.unique(episode * q.size + pairs, return_index=True)
    new = np.bincount(pairs[first], minlength=q.size).reshape(q.shape)
    sums = np.bincount(pairs[first], weights=G[first], minlength=q.size)
    total = counts + new
    means = (counts * q + sums.reshape(q.shape)) / np.maximum(total, 1)
    means = np.where(total > 0, means, q)
    return means, total, np.argmax(means, axis=-1)
