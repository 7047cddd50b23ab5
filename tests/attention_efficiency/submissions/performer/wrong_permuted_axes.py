# Axes of the coordinate system in random order and sign.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    blocks = []
    for _ in range(-(-m // d)):
        order = torch.randperm(d, generator=generator)
        noise = torch.randn(d, d + 1, dtype=torch.float64, generator=generator)
        lengths = noise[:, 1:].norm(dim=1) * noise[:, 0].sign()
        blocks.append(torch.eye(d, dtype=torch.float64)[order] * lengths[:, None])
    return torch.cat(blocks)[:m]
