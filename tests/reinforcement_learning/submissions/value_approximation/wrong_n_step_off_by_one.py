# n + 1 steps.
# loses: test_n_step_values

# %% solution="n_step_values"
def n_step_values(Phi, P, r, gamma, d, n):
    target, ahead = np.zeros(len(r)), np.eye(len(P))
    for _ in range(n + 1):
        target = target + ahead @ r
        ahead = gamma * ahead @ P
    rows = Phi.T * d
    matrix = rows @ (Phi - ahead @ Phi)
    return Phi @ np.linalg.lstsq(matrix, rows @ target, rcond=1e-11)[0]
