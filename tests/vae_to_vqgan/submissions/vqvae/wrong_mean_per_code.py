# Averages within a code instead of adding.
# loses: test_vq_gradients

# %% solution="vq_gradients"
def vq_gradients(z, E, idx, beta, reduction="elements"):
    n = z.numel() if reduction == "elements" else len(z)
    pull = 2 * (z - E[idx]) / n
    members = torch.bincount(idx, minlength=len(E)).clamp(min=1)[:, None]
    return beta * pull, torch.zeros_like(E).index_add_(0, idx, -pull) / members
