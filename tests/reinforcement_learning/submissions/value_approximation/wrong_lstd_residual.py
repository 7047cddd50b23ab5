# The Bellman error's normal equations.
# loses: test_lstd_online

# %% solution="lstd_online"
def lstd_online(phi, rewards, phi_next, gamma, ridge):
    inverse, total, found = np.eye(phi.shape[1]) / ridge, np.zeros(phi.shape[1]), []
    for now, reward, then in zip(phi, rewards, phi_next):
        then = now - gamma * then
        left, right = inverse @ then, then @ inverse
        inverse = inverse - np.outer(left, right) / (1 + right @ then)
        total = total + reward * then
        found.append(inverse @ total)
    return np.stack(found)
