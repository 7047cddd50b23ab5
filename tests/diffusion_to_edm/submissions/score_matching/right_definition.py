# As written: the difference of points over sigma², times sigma².
# keeps: all

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    losses = []
    for sigma, eps in zip(sigmas, noise):
        noisy = x + sigma * eps
        target = -(noisy - x) / sigma**2
        residual = score(noisy, sigma.expand(len(x))) - target
        losses.append(
            sigma**2 * residual.square().reshape(len(x), -1).sum(-1).mean() / 2
        )
    return torch.stack(losses)
