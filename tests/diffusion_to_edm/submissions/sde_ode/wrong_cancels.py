# 1 - exp(-small) in single precision.
# loses: test_marginal_prob_close

# %% solution="marginal_prob"
def marginal_prob(kind, t, start, low, high):
    if kind == "ve":
        ratio = high / low
        variance = low**2 * (ratio ** (2 * t) - ratio ** (2 * start))
        return torch.ones_like(t), variance.clamp_min(0).sqrt()
    between = (t - start) * (low + (high - low) * (t + start) / 2)
    before = start * low + (high - low) * start**2 / 2
    variance = 1 - (-between).exp()
    if kind == "subvp":
        variance = variance * (1 - (-between - 2 * before).exp())
    return (-between / 2).exp(), variance.sqrt()
