# The orthogonal factor of a polar decomposition, all blocks at once.
# keeps: all

# %% solution="orthogonal_rows"
def orthogonal_rows(m, d, generator):
    blocks = (m + d - 1) // d
    noise = torch.randn(blocks, d, d, dtype=torch.float64, generator=generator)
    U, _, V = torch.linalg.svd(noise)
    lengths = torch.randn(blocks, d, d, dtype=torch.float64, generator=generator)
    rows = U @ V * lengths.norm(dim=-1, keepdim=True)
    return rows.reshape(-1, d)[:m].clone()
