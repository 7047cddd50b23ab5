# The linear part exactly, by the exponential of the matrix.
# keeps: all

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    back = torch.linalg.matrix_exp(-A * dt)
    pushed = x + dt * (score @ G @ G.T) * (1 + lam * lam) / 2
    return (pushed + lam * dt**0.5 * (noise @ G.T)) @ back.T
