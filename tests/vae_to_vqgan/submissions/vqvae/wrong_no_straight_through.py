# Returns the codes themselves: z gets no gradient, and E gets the decoder's.
# loses: test_quantize_map_gradient

# %% solution="quantize_map"
def quantize_map(z, E):
    last = z.movedim(1, -1)
    idx = torch.cdist(last, E).argmin(-1)
    return idx, E[idx].movedim(-1, 1) + 0 * z
