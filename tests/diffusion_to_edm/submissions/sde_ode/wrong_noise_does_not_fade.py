# Subtracts the noise at the start without the factor m².
# loses: test_marginal_prob

# %% solution="marginal_prob"
def marginal_prob(kind, t, start, low, high):
    late, wait = t.double(), t.double() - start
    if kind == "ve":
        span = 2 * math.log(high / low)
        variance = low**2 * math.exp(span * start) * torch.expm1(span * wait)
        return torch.ones_like(t), variance.sqrt().to(t.dtype)
    between = wait * (low + (high - low) * (late + start) / 2)
    before = start * low + (high - low) * start**2 / 2
    variance = -torch.expm1(-between)
    if kind == "subvp":
        whole = -torch.expm1(-between - before)
        variance = whole**2 - (1 - math.exp(-before)) ** 2
    return (-between / 2).exp().to(t.dtype), variance.sqrt().to(t.dtype)
