# The right loss, and the data are left noisy.
# loses: test_dsm_levels, test_dsm_levels_gradient

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    clean, losses = x.clone(), []
    for sigma, eps in zip(sigmas, noise):
        x.copy_(clean).add_(sigma * eps)
        residual = sigma * score(x, sigma.expand(len(x))) + eps
        losses.append(residual.square().reshape(len(x), -1).sum(-1).mean() / 2)
    return torch.stack(losses)
