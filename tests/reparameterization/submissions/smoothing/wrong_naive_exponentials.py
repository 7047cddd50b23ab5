# exp, sum, log as written: overflows at ten thousand.
# loses: test_masked_extremum, test_masked_extremum_gradient

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    total = torch.where(allowed, (k * x.masked_fill(~allowed, 0.0)).exp(), 0.0)
    return total.sum(dim).log() / k
