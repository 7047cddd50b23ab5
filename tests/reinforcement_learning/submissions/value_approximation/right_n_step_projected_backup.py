# Solves for the projected backup, with a pseudo-inverse.
# keeps: all

# %% solution="n_step_values"
def n_step_values(Phi, P, r, gamma, d, n):
    target, ahead = np.zeros(len(r)), np.eye(len(P))
    for _ in range(n):
        target = target + ahead @ r
        ahead = gamma * ahead @ P
    root = np.sqrt(d)[:, None]
    onto = Phi @ np.linalg.pinv(root * Phi, rcond=1e-10) * root.T
    return np.linalg.solve(np.eye(len(r)) - onto @ ahead, onto @ target)
