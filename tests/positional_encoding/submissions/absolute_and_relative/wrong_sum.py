# The sums without the half.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    out = torch.zeros_like(matrix)
    for i in range(0, matrix.shape[-1], 2):
        block = matrix[:, i : i + 2, i : i + 2]
        a = block[:, 0, 0] + block[:, 1, 1]
        b = block[:, 0, 1] - block[:, 1, 0]
        out[:, i, i] = out[:, i + 1, i + 1] = a
        out[:, i, i + 1] = b
        out[:, i + 1, i] = -b
    return out
