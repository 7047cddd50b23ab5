# Ignores the reduction and always divides by the number of encodings.
# loses: test_vq_gradients

# %% solution="vq_gradients"
def vq_gradients(z, E, idx, beta, reduction="elements"):
    pull = 2 * (z - E[idx]) / len(z)
    return beta * pull, torch.zeros_like(E).index_add_(0, idx, -pull)
