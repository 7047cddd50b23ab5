# Independent normal rows.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    while len(rows) * d < m:
        noise = torch.randn(2, d, d, dtype=torch.float64, generator=generator)
        directions = torch.nn.functional.normalize(noise[0])
        rows.append(directions * noise[1].square().sum(1, keepdim=True).sqrt())
    return torch.cat(rows)[:m]
