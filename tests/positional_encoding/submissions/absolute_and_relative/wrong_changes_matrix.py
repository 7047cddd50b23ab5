# Right answer, written into the argument.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    d = matrix.shape[-1]
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=matrix.dtype)
    pair = torch.arange(d) // 2
    turns = torch.block_diag(*[turn] * (d // 2))
    mean = (matrix + turns.T @ matrix @ turns) / 2
    return matrix.copy_(torch.where(pair[:, None] == pair, mean, 0 * mean))
