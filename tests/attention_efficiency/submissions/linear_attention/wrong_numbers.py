# Zeros and ones as numbers.
# loses: test_fixed_mask

# %% solution="fixed_mask"
def fixed_mask(n, block, last):
    i, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    one = i // block == j // block
    other = j % block >= block - last
    return ((j <= i) & (one | other)).float()
