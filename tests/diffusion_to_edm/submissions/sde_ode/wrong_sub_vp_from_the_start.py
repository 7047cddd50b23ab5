# Sub-VP as from time 0: forgets that its noise depends on the past.
# loses: test_marginal_prob

# %% solution="marginal_prob"
def marginal_prob(kind, t, start, low, high):
    late, wait = t.double(), t.double() - start
    if kind == "ve":
        span = 2 * math.log(high / low)
        variance = low**2 * math.exp(span * start) * torch.expm1(span * wait)
        return torch.ones_like(t), variance.sqrt().to(t.dtype)
    between = wait * (low + (high - low) * (late + start) / 2)
    variance = -torch.expm1(-between)
    if kind == "subvp":
        variance = variance * -torch.expm1(-between)
    return (-between / 2).exp().to(t.dtype), variance.sqrt().to(t.dtype)
