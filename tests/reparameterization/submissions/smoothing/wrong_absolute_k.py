# The sign of k is dropped: always a maximum.
# loses: test_masked_extremum, test_masked_extremum_gradient

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    k = abs(k)
    return torch.logsumexp((k * x).masked_fill(~allowed, -torch.inf), dim) / k
