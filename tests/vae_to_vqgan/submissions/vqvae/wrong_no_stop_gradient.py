# Differentiates both terms on both sides, as if there were no sg.
# loses: test_vq_gradients

# %% solution="vq_gradients"
def vq_gradients(z, E, idx, beta, reduction="elements"):
    n = z.numel() if reduction == "elements" else len(z)
    pull = (1 + beta) * 2 * (z - E[idx]) / n
    return pull, torch.zeros_like(E).index_add_(0, idx, -pull)
