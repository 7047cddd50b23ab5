# Forgets -2 z·e, so that the shortest code answers for everything.
# loses: test_quantize_map

# %% solution="quantize_map"
def quantize_map(z, E):
    last = z.movedim(1, -1)
    distance = last.square().sum(-1, keepdim=True) + E.square().sum(1)
    idx = distance.argmin(-1)
    return idx, z + (E[idx].movedim(-1, 1) - z).detach()
