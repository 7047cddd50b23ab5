# Forgets the 2 of the square.
# loses: test_vq_gradients

# %% solution="vq_gradients"
def vq_gradients(z, E, idx, beta, reduction="elements"):
    n = z.numel() if reduction == "elements" else len(z)
    pull = (z - E[idx]) / n
    return beta * pull, torch.zeros_like(E).index_add_(0, idx, -pull)
