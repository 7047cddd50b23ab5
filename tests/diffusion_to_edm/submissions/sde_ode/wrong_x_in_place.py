# Moves the points it was given.
# loses: test_reverse_step, test_reverse_step_gradient

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    drift = x @ A.T - (1 + lam**2) / 2 * score @ (G @ G.T)
    x -= drift * dt
    x += lam * math.sqrt(dt) * noise @ G.T
    return x
