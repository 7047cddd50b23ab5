# Largest inner product instead of smallest distance: |e|² is missing.
# loses: test_quantize_map

# %% solution="quantize_map"
def quantize_map(z, E):
    last = z.movedim(1, -1)
    idx = (last @ E.T).argmax(-1)
    return idx, z + (E[idx].movedim(-1, 1) - z).detach()
