# Episodes of weight 0 are left out of the ordinary mean.
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
    seen = set()
    for s, weight, g, last in zip(states.tolist(), rho, G, over):
        if s not in seen:
            seen.add(s)
            sums[s] += weight * g
            total[s] += weight if weighted else float(weight > 0)
        if last:
            seen = set()
    return sums / np.where(total > 0, total, 1)
