# From time 0 to both, in double precision, and subtracts.
# keeps: all

# %% solution="marginal_prob"
def marginal_prob(kind, t, start, low, high):
    def from_zero(u):
        u = torch.as_tensor(u, dtype=torch.float64)
        if kind == "ve":
            growth = torch.expm1(2 * u * math.log(high / low))
            return torch.ones_like(u), low**2 * growth
        total = low * u + 0.5 * (high - low) * u.square()
        faded = -torch.expm1(-total)
        return torch.exp(-0.5 * total), faded if kind == "vp" else faded.square()

    (m, v), (m0, v0) = from_zero(t), from_zero(start)
    m = m / m0
    return m.to(t.dtype), (v - m.square() * v0).clamp(min=0).sqrt().to(t.dtype)
