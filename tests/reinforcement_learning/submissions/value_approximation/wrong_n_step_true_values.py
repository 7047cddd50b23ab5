# The values themselves, without features.
# loses: test_n_step_values

# %% solution="n_step_values"
def n_step_values(Phi, P, r, gamma, d, n):
    target, ahead = np.zeros(len(r)), np.eye(len(P))
    for _ in range(n):
        target = target + ahead @ r
        ahead = gamma * ahead @ P
    return np.linalg.solve(np.eye(len(P)) - ahead, target)
