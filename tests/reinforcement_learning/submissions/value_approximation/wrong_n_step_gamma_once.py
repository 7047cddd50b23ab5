# Bootstraps with gamma instead of gamma to the n.
# loses: test_n_step_values

# %% solution="n_step_values"
def n_step_values(Phi, P, r, gamma, d, n):
    target, ahead = np.zeros(len(r)), np.eye(len(P))
    for _ in range(n):
        target = target + ahead @ r
        ahead = gamma * ahead @ P
    ahead = gamma * np.linalg.matrix_power(P, n)
    rows = Phi.T * d
    matrix = rows @ (Phi - ahead @ Phi)
    return Phi @ np.linalg.lstsq(matrix, rows @ target, rcond=1e-11)[0]
