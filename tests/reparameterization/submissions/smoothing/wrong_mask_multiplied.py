# The mask multiplies: an entry that does not count counts as zero, and NaN stays.
# loses: test_masked_extremum, test_masked_extremum_gradient

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    return torch.logsumexp(k * x * allowed, dim) / k
