# A large negative number is added to the rubbish, and NaN plus anything is NaN.
# loses: test_masked_extremum, test_masked_extremum_gradient

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    return torch.logsumexp(k * x + (~allowed) * -1e30, dim) / k
