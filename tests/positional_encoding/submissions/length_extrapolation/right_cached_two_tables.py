# Both tables of scores, as for a whole text, and a choice for each key.
# keeps: all

# %% solution="cached_scores"
def cached_scores(q, k, inv_freq, window, leak=math.inf):
    n = k.shape[2]

    def turn(x, place):
        angle = place[:, None] * inv_freq.double()
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    place = torch.arange(n, dtype=torch.float64)
    query = q[:, :, None]
    near = turn(query, place[-1:]) @ turn(k, place).mT
    shift = window - window / leak
    far = turn(query, place[-1:] / leak + shift) @ turn(k, place / leak).mT
    return torch.where(place[-1] - place <= window, near, far)[:, :, 0]
