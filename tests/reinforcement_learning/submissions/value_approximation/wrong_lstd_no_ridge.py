# Ignores the ridge, with a pseudo-inverse.
# loses: test_lstd_online

# %% solution="lstd_online"
def lstd_online(phi, rewards, phi_next, gamma, ridge):
    found = []
    for t in range(1, len(phi) + 1):
        matrix = phi[:t].T @ (phi[:t] - gamma * phi_next[:t])
        found.append(np.linalg.pinv(matrix) @ phi[:t].T @ rewards[:t])
    return np.stack(found)
