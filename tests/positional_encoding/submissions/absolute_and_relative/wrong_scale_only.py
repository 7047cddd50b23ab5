# Keeps a and forgets b: no direction is left.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    mean = diagonal.unflatten(-1, (-1, 2)).mean(-1, keepdim=True)
    return torch.diag_embed(mean.expand(-1, -1, 2).flatten(1))
