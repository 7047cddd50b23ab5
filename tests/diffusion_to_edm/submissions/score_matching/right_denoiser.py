# By Tweedie: half the squared error of the denoised point, over sigma².
# keeps: all

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    losses = []
    for sigma, eps in zip(sigmas, noise):
        noisy = x + sigma * eps
        denoised = noisy + sigma**2 * score(noisy, sigma.expand(len(x)))
        losses.append(((denoised - x) / sigma).square().sum() / (2 * len(x)))
    return torch.stack(losses)
