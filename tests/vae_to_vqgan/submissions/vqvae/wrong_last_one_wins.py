# Assigns rows instead of adding them: of several encodings one counts.
# loses: test_vq_gradients

# %% solution="vq_gradients"
def vq_gradients(z, E, idx, beta, reduction="elements"):
    n = z.numel() if reduction == "elements" else len(z)
    pull = 2 * (z - E[idx]) / n
    dE = torch.zeros_like(E)
    dE[idx] = -pull
    return beta * pull, dE
