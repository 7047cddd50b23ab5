# Sums one axis behind the first, as for vectors.
# loses: test_dsm_levels

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    losses = []
    for sigma, eps in zip(sigmas, noise):
        residual = sigma * score(x + sigma * eps, sigma.expand(len(x))) + eps
        losses.append(residual.square().sum(-1).mean() / 2)
    return torch.stack(losses)
