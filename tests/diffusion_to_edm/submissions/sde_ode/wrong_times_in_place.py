# Shifts the times it was given.
# loses: test_marginal_prob

# %% solution="marginal_prob"
def marginal_prob(kind, t, start, low, high):
    late = t.double().clone()
    t -= start
    wait = late - start
    if kind == "ve":
        span = 2 * math.log(high / low)
        variance = low**2 * math.exp(span * start) * torch.expm1(span * wait)
        return torch.ones_like(t), variance.sqrt().to(t.dtype)
    between = wait * (low + (high - low) * (late + start) / 2)
    before = start * low + (high - low) * start**2 / 2
    variance = -torch.expm1(-between)
    if kind == "subvp":
        variance = variance * -torch.expm1(-between - 2 * before)
    return (-between / 2).exp().to(t.dtype), variance.sqrt().to(t.dtype)
