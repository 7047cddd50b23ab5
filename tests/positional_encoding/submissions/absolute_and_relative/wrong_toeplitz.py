# Averages along the diagonals: the table of scores is to be Toeplitz, not M.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    d = matrix.shape[-1]
    out = torch.zeros_like(matrix)
    for offset in range(-d + 1, d):
        mean = matrix.diagonal(offset, 1, 2).mean(-1, keepdim=True)
        out.diagonal(offset, 1, 2)[:] = mean
    return out
