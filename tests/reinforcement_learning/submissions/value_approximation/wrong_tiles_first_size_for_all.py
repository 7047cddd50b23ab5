# The number of tiles of the first dimension for all.
# loses: test_active_tiles

# %% solution="active_tiles"
def active_tiles(points, low, high, tiles, tilings):
    sizes = np.full(len(tiles), tiles[0])
    z = (points - low) / (high - low) * sizes
    shift = np.outer(np.arange(tilings), 2 * np.arange(len(sizes)) + 1) % tilings
    cells = np.floor(z[:, None] + shift / tilings).astype(np.int64)
    place = np.ravel_multi_index(tuple(np.moveaxis(cells, -1, 0)), tuple(sizes + 1))
    return place + np.arange(tilings) * np.prod(sizes + 1)
