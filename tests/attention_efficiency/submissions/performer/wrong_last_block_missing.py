# Only whole blocks.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    while (len(rows) + 1) * d <= max(m, d):
        noise = torch.randn(2, d, d, dtype=torch.float64, generator=generator)
        Q, R = torch.linalg.qr(noise[0])
        directions = (Q * R.diag().sign()).T
        rows.append(directions * noise[1].square().sum(1, keepdim=True).sqrt())
    return torch.cat(rows)[:m]
