# The reverse SDE whatever lam, with lam times the noise.
# loses: test_reverse_step, test_reverse_step_gradient

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    drift = x @ A.T - score @ (G @ G.T)
    return x - drift * dt + lam * math.sqrt(dt) * noise @ G.T
