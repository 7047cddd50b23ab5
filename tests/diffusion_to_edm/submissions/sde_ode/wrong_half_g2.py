# Half of G Gᵀ before the score, and full noise: the ODE with noise added.
# loses: test_reverse_step, test_reverse_step_gradient

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    drift = x @ A.T - score @ (G @ G.T) / 2
    return x - drift * dt + lam * math.sqrt(dt) * noise @ G.T
