# A product for each step by itself, and counts by bins.
# keeps: all

# %% solution="off_policy_values"
def off_policy_values(states, actions, G, over, pi, b, weighted):
    episode = np.concatenate([[0], np.cumsum(over[:-1])])
    each = pi[states, actions] / b[states, actions]
    rho = np.array([np.prod(each[k:][episode[k:] == e]) for k, e in enumerate(episode)])
    _, first = np.unique(episode * len(pi) + states, return_index=True)
    where, rho, G = states[first], rho[first], G[first]
    below = np.bincount(where, rho if weighted else None, len(pi)).astype(float)
    sums = np.bincount(where, rho * G, len(pi))
    return np.divide(sums, below, out=np.zeros(len(pi)), where=below > 0)
