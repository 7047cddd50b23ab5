# Forgets that a moved tiling needs one tile more: borders wrap into the next row.
# loses: test_active_tiles

# %% solution="active_tiles"
def active_tiles(points, low, high, tiles, tilings):
    sizes = np.array(tiles)
    z = (points - low) / (high - low) * sizes
    shift = np.outer(np.arange(tilings), 2 * np.arange(len(sizes)) + 1) % tilings
    cells = np.floor(z[:, None] + shift / tilings).astype(np.int64)
    strides = np.cumprod(np.r_[1, sizes[:-1]])
    place = cells @ strides
    return place + np.arange(tilings) * np.prod(sizes + 1)
