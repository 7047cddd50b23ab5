# One a and one b for all pairs.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=matrix.dtype)
    d = matrix.shape[-1]
    turns = torch.block_diag(*[turn] * (d // 2))
    a = (matrix * torch.eye(d, dtype=matrix.dtype)).sum((1, 2), keepdim=True) / d
    b = (matrix * turns).sum((1, 2), keepdim=True) / d
    return a * torch.eye(d, dtype=matrix.dtype) + b * turns
