# Projects onto a basis of the allowed matrices, one after the other.
# keeps: all

# %% solution="relative_part"
def relative_part(matrix):
    d = matrix.shape[-1]
    out = torch.zeros_like(matrix)
    for i in range(0, d, 2):
        for block in ([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [-1.0, 0.0]]):
            basis = torch.zeros(d, d, dtype=matrix.dtype)
            basis[i : i + 2, i : i + 2] = torch.tensor(block)
            share = torch.einsum("hij,ij->h", matrix, basis) / 2
            out = out + share[:, None, None] * basis
    return out
