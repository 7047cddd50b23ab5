# The sum over rows.
# loses: test_dsm_levels, test_dsm_levels_gradient

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    losses = []
    for sigma, eps in zip(sigmas, noise):
        residual = sigma * score(x + sigma * eps, sigma.expand(len(x))) + eps
        losses.append(residual.square().sum() / 2)
    return torch.stack(losses)
