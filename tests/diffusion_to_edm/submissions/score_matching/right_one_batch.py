# All levels in one call of the score.
# keeps: all

# %% solution="dsm_levels"
def dsm_levels(score, x, sigmas, noise):
    level = sigmas.repeat_interleave(len(x))
    column = level.reshape(-1, *[1] * (x.ndim - 1))
    eps = noise.flatten(0, 1)
    residual = column * score(
        x.repeat(len(sigmas), *[1] * (x.ndim - 1)) + column * eps, level
    )
    return (residual + eps).square().reshape(*noise.shape[:2], -1).sum(-1).mean(-1) / 2
