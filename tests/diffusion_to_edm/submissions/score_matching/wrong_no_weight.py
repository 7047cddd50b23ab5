# Without the weight sigma²: small noise drowns all else.
# loses: test_dsm_levels, test_dsm_levels_gradient

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    losses = []
    for sigma, eps in zip(sigmas, noise):
        residual = score(x + sigma * eps, sigma.expand(len(x))) + eps / sigma
        losses.append(residual.square().reshape(len(x), -1).sum(-1).mean() / 2)
    return torch.stack(losses)
