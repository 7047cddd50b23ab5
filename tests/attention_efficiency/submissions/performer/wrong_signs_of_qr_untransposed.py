# Signs left to QR, rows of Q itself.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    while len(rows) * d < m:
        noise = torch.randn(2, d, d, dtype=torch.float64, generator=generator)
        Q = torch.linalg.qr(noise[0])[0]
        directions = Q
        rows.append(directions * noise[1].square().sum(1, keepdim=True).sqrt())
    return torch.cat(rows)[:m]
