# G in the place of its square, where that is possible.
# loses: test_reverse_step, test_reverse_step_gradient

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    once = G.T if G.shape[0] == G.shape[1] else G @ G.T
    drift = x @ A.T - (1 + lam**2) / 2 * score @ once
    return x - drift * dt + lam * math.sqrt(dt) * noise @ G.T
