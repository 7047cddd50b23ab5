# Gram–Schmidt by hand, then fresh lengths.
# keeps: all

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    def normal():
        return torch.randn(d, dtype=torch.float64, generator=generator)

    rows, block = [], []
    for i in range(m):
        if i % d == 0:
            block = []
        x = normal()
        for _ in range(2):
            for y in block:
                x = x - (x @ y) * y
        x = x / x.norm()
        block.append(x)
        rows.append(x * normal().norm())
    return torch.stack(rows)
