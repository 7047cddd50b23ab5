# The integrals of the moment equations by the trapezoidal rule.
# keeps: all

# %% solution="marginal_prob"
def marginal_prob(kind, t, start, low, high):
    wait = t.double()[..., None] - start
    u = start + wait * torch.linspace(0, 1, 4001, dtype=torch.float64)
    beta = low + u * (high - low)
    if kind == "ve":
        g2, beta = 2 * math.log(high / low) * low**2 * (high / low) ** (2 * u), 0 * beta
    else:
        total = low * u + (high - low) * u**2 / 2
        g2 = beta * (-torch.expm1(-2 * total) if kind == "subvp" else 1)
    area = torch.zeros_like(u)
    pieces = (beta[..., 1:] + beta[..., :-1]) / 2 * u.diff()
    area[..., 1:] = pieces.cumsum(-1)
    fade = torch.exp(area - area[..., -1:])
    variance = torch.trapezoid(g2 * fade, u)
    return torch.exp(-area[..., -1] / 2).to(t.dtype), variance.sqrt().to(t.dtype)
