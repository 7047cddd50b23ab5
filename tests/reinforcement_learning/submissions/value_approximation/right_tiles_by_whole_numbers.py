# Sutton's integers, one tiling and dimension at a time, other numbers.
# keeps: all

# %% solution="active_tiles"
def active_tiles(points, low, high, tiles, tilings):
    found = np.zeros((len(points), tilings), dtype=np.int64)
    for t in range(tilings):
        for i in reversed(range(len(tiles))):
            fine = (points[:, i] - low[i]) / (high[i] - low[i]) * tiles[i] * tilings
            moved = np.floor(fine).astype(np.int64) + (2 * i + 1) * t % tilings
            found[:, t] = found[:, t] * (tiles[i] + 1) + moved // tilings
        found[:, t] = found[:, t] * tilings + t
    return found
