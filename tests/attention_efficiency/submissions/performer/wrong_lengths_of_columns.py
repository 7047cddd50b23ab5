# Lengths multiply the columns: rows are no longer orthogonal.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    while len(rows) * d < m:
        noise = torch.randn(2, d, d, dtype=torch.float64, generator=generator)
        Q, R = torch.linalg.qr(noise[0])
        directions = (Q * R.diag().sign()).T
        rows.append(directions * noise[1].norm(dim=0))
    return torch.cat(rows)[:m]
