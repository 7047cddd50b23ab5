# The formula as it stands: coordinates beyond the last tile.
# loses: test_active_tiles

# %% solution="active_tiles"
def active_tiles(points, low, high, tiles, tilings):
    sizes = np.array(tiles)
    z = (points - low) / (high - low) * sizes
    shift = np.outer(np.arange(tilings), 2 * np.arange(len(sizes)) + 1)
    cells = np.floor(z[:, None] + shift / tilings).astype(np.int64)
    strides = np.cumprod(np.r_[1, sizes[:-1] + 1])
    place = cells @ strides
    return place + np.arange(tilings) * np.prod(sizes + 1)
