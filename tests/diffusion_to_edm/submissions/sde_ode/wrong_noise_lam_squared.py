# lam² times the noise.
# loses: test_reverse_step

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    drift = x @ A.T - (1 + lam**2) / 2 * score @ (G @ G.T)
    return x - drift * dt + lam**2 * math.sqrt(dt) * noise @ G.T
