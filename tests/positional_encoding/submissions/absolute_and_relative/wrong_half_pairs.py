# Pairs i and i + d/2, of the other layout.
# loses: test_relative_part

# %% solution="relative_part"
def relative_part(matrix):
    half = matrix.shape[-1] // 2
    out = torch.zeros_like(matrix)
    for i in range(half):
        a = (matrix[:, i, i] + matrix[:, i + half, i + half]) / 2
        b = (matrix[:, i, i + half] - matrix[:, i + half, i]) / 2
        out[:, i, i] = out[:, i + half, i + half] = a
        out[:, i, i + half], out[:, i + half, i] = b, -b
    return out
