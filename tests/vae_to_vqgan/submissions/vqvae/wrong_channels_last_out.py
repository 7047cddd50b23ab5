# Leaves the codes channels last.
# loses: test_quantize_map, test_quantize_map_gradient

# %% solution="quantize_map"
def quantize_map(z, E):
    last = z.movedim(1, -1)
    idx = torch.cdist(last, E).argmin(-1)
    return idx, last + (E[idx] - last).detach()
