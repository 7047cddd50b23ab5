# Written out as loops.
# keeps: all

# %% solution="fixed_mask"
def fixed_mask(n, block, last):
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        for start in range(0, i + 1, block):
            end = start + block
            first = start if i < end else end - last
            mask[i, first : min(end, i + 1)] = True
    return mask
