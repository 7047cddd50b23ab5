# A window of the block's length instead of the block.
# loses: test_fixed_mask

# %% solution="fixed_mask"
def fixed_mask(n, block, last):
    i, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    one = i - j < block
    other = j % block >= block - last
    return (j <= i) & (one | other)
