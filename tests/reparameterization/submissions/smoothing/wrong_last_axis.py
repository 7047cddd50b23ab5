# Always along the last axis.
# loses: test_masked_extremum

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    exponent = (k * x).masked_fill(~allowed, -torch.inf)
    return torch.logsumexp(exponent, -1) / k
