# Flattens channels-first data as if channels were last: right shapes, other vectors.
# loses: test_quantize_map

# %% solution="quantize_map"
def quantize_map(z, E):
    flat = z.reshape(-1, z.shape[1])
    idx = torch.cdist(flat, E).argmin(1)
    nearest = E[idx].view(z.shape)
    return idx.view(z.shape[0], *z.shape[2:]), z + (nearest - z).detach()
