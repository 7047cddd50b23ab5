# A direct solve after every transition.
# keeps: all

# %% solution="lstd_online"
def lstd_online(phi, rewards, phi_next, gamma, ridge):
    outer = phi[:, :, None] * (phi - gamma * phi_next)[:, None]
    matrices = outer.cumsum(0) + ridge * np.eye(phi.shape[1])
    totals = (phi * rewards[:, None]).cumsum(0)
    return np.linalg.solve(matrices, totals[:, :, None])[:, :, 0]
