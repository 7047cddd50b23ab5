# The strided pattern.
# loses: test_fixed_mask

# %% solution="fixed_mask"
def fixed_mask(n, block, last):
    i, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    return (j <= i) & ((i - j < block) | ((i - j) % block == 0))
