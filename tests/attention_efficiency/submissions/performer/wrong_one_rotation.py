# One rotation for all blocks, fresh lengths.
# loses: test_orthogonal_rows

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    blocks = -(-m // d)
    noise = torch.randn(d, d, dtype=torch.float64, generator=generator)
    Q, R = torch.linalg.qr(noise)
    Q = (Q * R.diag().sign()).T
    lengths = torch.randn(m, d, dtype=torch.float64, generator=generator).norm(dim=1)
    return Q.repeat(blocks, 1)[:m] * lengths[:, None]
