# The fill of -inf is multiplied by k: for a minimum it becomes +inf.
# loses: test_masked_extremum, test_masked_extremum_gradient

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    return torch.logsumexp(k * x.masked_fill(~allowed, -torch.inf), dim) / k
