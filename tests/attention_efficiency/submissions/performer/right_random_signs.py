# QR, and a sign for every column from the generator.
# keeps: all

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    rows = []
    for _ in range(-(-m // d)):
        noise = torch.randn(d, 2 * d + 1, dtype=torch.float64, generator=generator)
        Q = torch.linalg.qr(noise[:, :d])[0]
        lengths = noise[:, d : 2 * d].norm(dim=1) * noise[:, -1].sign()
        rows.append(lengths[:, None] * Q.T)
    return torch.cat(rows)[:m]
