# Tweedie with the other sign.
# loses: test_to_denoiser

# %% solution="to_denoiser"
def to_denoiser(kind, x_t, out, level):
    if level.ndim:
        level = level.reshape(-1, *[1] * (x_t.ndim - 1))
    if kind == "score":
        return x_t - level**2 * out
    if kind == "eps":
        return (x_t - (1 - level).sqrt() * out) / level.sqrt()
    if kind == "v":
        return level.sqrt() * x_t - (1 - level).sqrt() * out
    if kind == "flow":
        return x_t - level * out
    return x_t + (1 - level) * out
