# Takes the lengths from the matrix whose directions it took: they know of each other.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    while len(rows) * d < m:
        noise = torch.randn(d, d, dtype=torch.float64, generator=generator)
        Q, R = torch.linalg.qr(noise)
        rows.append((Q * R.diag().sign()).T * noise.norm(dim=1, keepdim=True))
    return torch.cat(rows)[:m]
