# Blocks are counted from the end.
# loses: test_fixed_mask

# %% solution="fixed_mask"
def fixed_mask(n, block, last):
    i, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    one = (n - 1 - i) // block == (n - 1 - j) // block
    other = j % block >= block - last
    return (j <= i) & (one | other)
