# Moves the weights by the gain times the TD error, as in Kalman's filter.
# keeps: all

# %% solution="lstd_online"
def lstd_online(phi, rewards, phi_next, gamma, ridge):
    inverse, w, found = np.eye(phi.shape[1]) / ridge, np.zeros(phi.shape[1]), []
    for now, reward, then in zip(phi, rewards, phi_next):
        change = now - gamma * then
        gain = inverse @ now / (1 + change @ inverse @ now)
        w = w + gain * (reward - change @ w)
        inverse = inverse - np.outer(gain, change @ inverse)
        found.append(w)
    return np.stack(found)
