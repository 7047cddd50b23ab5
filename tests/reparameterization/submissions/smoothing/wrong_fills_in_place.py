# Right values, with the padding of the argument overwritten.
# loses: test_masked_extremum, test_masked_extremum_gradient

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    x[~allowed] = -torch.inf if k > 0 else torch.inf
    return torch.logsumexp(k * x, dim) / k
