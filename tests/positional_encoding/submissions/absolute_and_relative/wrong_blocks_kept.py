# Keeps the diagonal blocks as they are, without averaging.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    d = matrix.shape[-1]
    pair = torch.arange(d) // 2
    return torch.where(pair[:, None] == pair, matrix, torch.zeros_like(matrix))
