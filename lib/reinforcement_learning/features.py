"""Features of points: what a linear value function is a weighted sum of.

Points are rows; a feature matrix has a row for each of them. Polynomials and cosines
reach everywhere, groups and tiles stop at their borders. Tiles are also given by their
numbers, for with many tilings nearly all of a row is zero.

Source: Sutton & Barto 2018, section 9.5; Zhao 2025, section 8.2, for two dimensions.
"""

from itertools import product

import numpy as np
from jaxtyping import Float, Int

Points = Float[np.ndarray, "n dims"]


def polynomial_features(x: Points, degree: int) -> Float[np.ndarray, "n d"]:
    """All monomials of total degree `degree` at most, the constant first.

    In one dimension degree + 1 of them, in two 3, 6 and 10 for degrees 1, 2 and 3, as
    Zhao counts. Sutton & Barto bound the degree in each dimension instead, which gives
    (degree + 1)^dims.

    Raises:
        ValueError: degree is negative.
    """
    if degree < 0:
        raise ValueError(f"degree must not be negative, got {degree}")
    powers = product(range(degree + 1), repeat=x.shape[1])
    kept = sorted((p for p in powers if sum(p) <= degree), key=sum)
    return np.stack([(x ** np.array(p)).prod(-1) for p in kept], -1)


def fourier_features(x: Points, order: int) -> Float[np.ndarray, "n d"]:
    """cos(pi c.x) for all c with entries 0 to `order`: (order + 1)^dims features.

    x is meant to lie between 0 and 1. Source: Konidaris et al. 2011.

    Raises:
        ValueError: order is negative.
    """
    if order < 0:
        raise ValueError(f"order must not be negative, got {order}")
    c = np.array(list(product(range(order + 1), repeat=x.shape[1])))
    return np.cos(np.pi * x @ c.T)


def tile_numbers(x: Points, tiles: int, tilings: int) -> Int[np.ndarray, "n tilings"]:
    """Which tile of each tiling a point is in: one number a tiling, none twice.

    The unit cube is cut into `tiles` tiles along every dimension. Tiling t has moved
    against dimension i by (2i + 1) t / tilings of a tile, the offsets (1, 3, 5, ...)
    that Sutton & Barto prefer to (1, 1, 1, ...); so that a tiling covers the cube
    wherever it has moved it is one tile longer. Numbers run below `tile_count`.

    Raises:
        ValueError: tiles or tilings is below 1, or x leaves the unit cube.
    """
    if tiles < 1 or tilings < 1:
        raise ValueError(f"tiles and tilings: at least 1, got {tiles} and {tilings}")
    low, high = (x.min(), x.max()) if x.size else (0, 1)
    if not 0 <= low <= high <= 1:
        raise ValueError(f"x must lie between 0 and 1, got {low:g} to {high:g}")
    dims, tiling = x.shape[1], np.arange(tilings)
    moved = np.outer(tiling, 2 * np.arange(dims) + 1) % tilings / tilings
    along = (x[:, None] * tiles + moved).astype(int)
    return along @ (tiles + 1) ** np.arange(dims) + tiling * (tiles + 1) ** dims


def tile_count(dims: int, tiles: int, tilings: int) -> int:
    """How many numbers `tile_numbers` may give: (tiles + 1)^dims for each tiling."""
    return tilings * (tiles + 1) ** dims


def tile_features(x: Points, tiles: int, tilings: int) -> Float[np.ndarray, "n d"]:
    """1 for each tile that a point is in, 0 for the others; `tilings` ones a row."""
    numbers = tile_numbers(x, tiles, tilings)
    features = np.zeros((len(x), tile_count(x.shape[1], tiles, tilings)))
    np.put_along_axis(features, numbers, 1.0, -1)
    return features


def group_features(x: Points, groups: int) -> Float[np.ndarray, "n groups"]:
    """State aggregation in one dimension: `groups` intervals of equal length."""
    group = np.minimum((x[:, 0] * groups).astype(int), groups - 1)
    return np.eye(groups)[group]
