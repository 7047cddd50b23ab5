# The mean of M and M turned by a quarter, off-diagonal blocks removed.
# keeps: all

# %% solution="relative_part"
def relative_part(matrix):
    d = matrix.shape[-1]
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=matrix.dtype)
    turns = torch.block_diag(*[turn] * (d // 2))
    mean = (matrix + turns.T @ matrix @ turns) / 2
    same_pair = torch.block_diag(*[torch.ones(2, 2, dtype=matrix.dtype)] * (d // 2))
    return mean * same_pair
