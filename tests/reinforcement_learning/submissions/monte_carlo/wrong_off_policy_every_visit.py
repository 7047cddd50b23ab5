# Every visit counts.
# loses: test_off_policy_values

# %% solution="off_policy_values"
def off_policy_values(states, actions, G, over, pi, b, weighted):
    rho, product = np.zeros(len(states)), 1.0
    for k in reversed(range(len(states))):
        if over[k]:
            product = 1.0
        product *= pi[states[k], actions[k]] / b[states[k], actions[k]]
        rho[k] = product
    sums, total = np.zeros(len(pi)), np.zeros(len(pi))
    for s, weight, g in zip(states.tolist(), rho, G):
        sums[s] += weight * g
        total[s] += weight if weighted else 1
    return sums / np.where(total > 0, total, 1)
