# The lengths of the very columns that QR made orthogonal: Q knows nothing of R.
# keeps: all

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    for _ in range(-(-m // d)):
        noise = torch.randn(d, d, dtype=torch.float64, generator=generator)
        Q, R = torch.linalg.qr(noise)
        rows.append(noise.norm(dim=0)[:, None] * (Q * R.diag().sign()).T)
    return torch.cat(rows)[:m]
