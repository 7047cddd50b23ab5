# The gradient passes through x and not through the score.
# loses: test_reverse_step_gradient

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    drift = x @ A.T - (1 + lam**2) / 2 * score.detach() @ (G @ G.T)
    return x - drift * dt + lam * math.sqrt(dt) * noise @ G.T
