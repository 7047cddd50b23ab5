# No gradient passes.
# loses: test_reverse_step_gradient

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    drift = x @ A.T - (1 + lam**2) / 2 * score @ (G @ G.T)
    x, drift = x.detach(), drift.detach()
    return x - drift * dt + lam * math.sqrt(dt) * noise @ G.T
