# Detaches z inside the bracket but not the code, so E gets a gradient as well.
# loses: test_quantize_map_gradient

# %% solution="quantize_map"
def quantize_map(z, E):
    last = z.movedim(1, -1)
    idx = torch.cdist(last, E).argmin(-1)
    nearest = E[idx].movedim(-1, 1)
    return idx, z + (nearest - z.detach())
