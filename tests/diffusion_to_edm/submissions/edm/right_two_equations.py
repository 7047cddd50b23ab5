# Solves two linear equations in the clean image and the noise.
# keeps: all

# %% solution="to_denoiser"
def to_denoiser(kind, x_t, out, level):
    level = level.reshape(level.shape + (1,) * (x_t.ndim - 1)) if level.ndim else level
    one, zero = torch.ones_like(level), torch.zeros_like(level)
    root, other = level.abs().sqrt(), (1 - level).abs().sqrt()
    if kind == "score":
        return x_t + out * level.square()
    # x_t = a x0 + b eps and out = c x0 + d eps
    a, b, c, d = {
        "eps": (root, other, zero, one),
        "v": (root, other, -other, root),
        "flow": (1 - level, level, -one, one),
        "lipman": (level, 1 - level, one, -one),
    }[kind]
    return (d * x_t - b * out) / (a * d - b * c)
