# The score is detached: the numbers are right, and nothing is learnt.
# loses: test_dsm_levels_gradient

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    losses = []
    for sigma, eps in zip(sigmas, noise):
        level = sigma.expand(len(x))
        residual = sigma * score(x + sigma * eps, level).detach() + eps
        residual.requires_grad_()
        losses.append(residual.square().reshape(len(x), -1).sum(-1).mean() / 2)
    return torch.stack(losses)
