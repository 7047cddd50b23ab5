"""Pictures of grid worlds: a number in every cell, and the policy as arrows.

States are the cells of the grid row by row, the first row at the top; actions are up,
right, down, left and, where a world has it, stay.
"""

from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, Polygon, Rectangle
from numpy.typing import ArrayLike

from lib import figures

Cell = SupportsIndex | Sequence[SupportsIndex]

# Steps in the picture, x to the right and y down.
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))

# In widths of a cell. The number stands in the upper part of a cell, its arrows in the
# lower one: around a point so far below the middle, and no longer than `REACH`.
NUMBER, ARROWS, REACH = -0.29, 0.13, 0.27
STRENGTH = 0.2  # of the colour at ±limit: text in the ink keeps a contrast of 3


def draw(
    axis: Axes,
    values: ArrayLike,
    shape: tuple[int, int],
    *,
    policy: ArrayLike | None = None,
    forbidden: Iterable[Cell] = (),
    target: Iterable[Cell] = (),
    title: str = "",
    digits: int = 1,
    limit: float | None = None,
) -> None:
    """Draw the values of a grid's states, and a policy if there is one.

    values: (S,), row by row; a cell whose value is NaN stays empty. Blue is below zero,
    vermilion above, strongest at ±`limit`, by default the largest magnitude.
    policy: (S, 4) or (S, 5), chances of up, right, down, left, stay. An arrow is as
    long and thick as its chance is large, stay is a circle; a row of zeros has none.
    forbidden, target: cells to hatch and to frame twice, each a pair (row, column) or
    the number of a state. One cell is a list too: `target=[(3, 2)]`.
    The size of the numbers follows from the size that the axis has now.

    Raises:
        ValueError: shape is not that of a grid; values or policy do not fit it; policy
            holds no chances; a cell lies outside; digits or limit make no sense.
    """
    rows, columns = grid(shape)
    values = per_state("values", values, shape)
    arrows = None if policy is None else chances("policy", policy, shape)
    blocked = states("forbidden", forbidden, shape)
    goals = states("target", target, shape)
    if digits < 0:
        raise ValueError(f"digits must be 0 or more, got {digits}")
    axis.imshow(_colours(values, limit).reshape(rows, columns, 4))
    axis.set(title=title, xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    for s in range(rows * columns):
        _cell(axis, divmod(s, columns), s in blocked, s in goals)
    labels = [written(value, digits) for value in values]
    size = _font_size(axis, shape, max(map(len, labels)))
    for s, label in enumerate(labels):
        row, column = divmod(s, columns)
        high = row if arrows is None else row + NUMBER
        axis.text(column, high, label, size=size, ha="center", va="center_baseline")
        if arrows is not None:
            _draw_policy(axis, (column, row + ARROWS), arrows[s])


def written(value: float, digits: int) -> str:
    """−1.25, 3.00; nothing for NaN, and zero without a sign."""
    if np.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


# What is drawn, checked.


def grid(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        ValueError: shape is not two positive whole numbers.
    """
    if len(shape) != 2 or any(n != int(n) or n < 1 for n in shape):
        raise ValueError(f"shape must be (rows, columns), got {shape}")
    return int(shape[0]), int(shape[1])


def per_state(name: str, values: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """One number for each state, NaN where there is none.

    Raises:
        ValueError: there are more or fewer, or one is infinite.
    """
    values, count = np.asarray(values, dtype=float), shape[0] * shape[1]
    if values.shape != (count,):
        raise ValueError(f"{name} must be of shape ({count},), got {values.shape}")
    if np.isinf(values).any():
        raise ValueError(f"{name} must be finite or NaN, got infinity")
    return values


def chances(name: str, policy: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """The chance of each action in each state; all zero where nothing is chosen.

    Raises:
        ValueError: another shape, or a row is neither zero nor sums to 1.
    """
    policy, count = np.asarray(policy, dtype=float), shape[0] * shape[1]
    if policy.shape not in ((count, 4), (count, 5)):
        raise ValueError(
            f"{name} must be of shape ({count}, 4) or ({count}, 5), got {policy.shape}"
        )
    total = policy.sum(-1)
    if not ((policy >= 0).all() and (np.isclose(total, 1) | (total == 0)).all()):
        raise ValueError(f"{name} must hold rows of chances, each summing to 1 or to 0")
    return policy


def states(name: str, cells: Iterable[Cell], shape: tuple[int, int]) -> list[int]:
    """The numbers of states, of which some may be given as (row, column).

    Raises:
        ValueError: one lies outside the grid.
    """
    found = []
    for cell in cells:
        row, column = divmod(cell, shape[1]) if np.ndim(cell) == 0 else cell
        if not (0 <= row < shape[0] and 0 <= column < shape[1]):
            raise ValueError(f"{name} must lie in a grid of shape {shape}, got {cell}")
        found.append(int(row * shape[1] + column))
    return found


# The parts of the picture.


def _colours(values: np.ndarray, limit: float | None) -> np.ndarray:
    """RGBA of each cell: pale, so that text reads on any of them."""
    known = np.nan_to_num(values)
    most = np.abs(known).max() if limit is None else limit
    if limit is not None and not limit > 0:
        raise ValueError(f"limit must be positive, got {limit}")
    colours = figures.DIVERGING((known / (most or 1.0)).clip(-1, 1) / 2 + 0.5)
    colours[:, 3] *= STRENGTH
    return colours


def _font_size(axis: Axes, shape: tuple[int, int], letters: int) -> float:
    """In points: as the style has it, or less where cells are small."""
    box = axis.get_window_extent()
    cell = min(box.width / shape[1], box.height / shape[0]) * 72 / axis.figure.dpi
    return min(10.0, 0.26 * cell, 0.85 * cell / (0.65 * max(letters, 1)))


def _cell(axis: Axes, cell: tuple[int, int], forbidden: bool, target: bool) -> None:
    """Its frame, its hatch where it is forbidden, a second frame at the target."""
    row, column = cell
    frames = (0.03, 0.075) if target else (0.0,)
    for inset in frames:
        side = 1 - 2 * inset
        corner = (column - 0.5 + inset, row - 0.5 + inset)
        colour = to_rgba(figures.INK, 1 if target else 0.5)
        style = {"facecolor": "none", "edgecolor": colour, "linewidth": 0.8}
        axis.add_patch(Rectangle(corner, side, side, **style))
    if forbidden:
        style = {"hatch": "///", "facecolor": "none", "linewidth": 0}
        style |= {"edgecolor": to_rgba(figures.INK, 0.35)}
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **style))


def _draw_policy(axis: Axes, centre: tuple[float, float], row: np.ndarray) -> None:
    """One state's arrows, and the circle that means stay."""
    arrows, radius = marks(row)
    if radius:
        style = {"fill": False, "edgecolor": figures.INK, "linewidth": 1.2}
        axis.add_patch(Circle(centre, radius, **style))
    for corners in arrows:
        axis.add_patch(Polygon(corners + centre, color=figures.INK, linewidth=0))


def marks(row: np.ndarray) -> tuple[list[np.ndarray], float]:
    """Corners (7, 2) of the arrows of one state, and the radius of its circle, or 0.

    row: chances of up, right, down, left and perhaps stay. The unit is the width of a
    cell, y points down, and the arrows begin at the origin or at the circle.
    """
    stay = row[4] if len(row) == 5 else 0.0
    radius = 0.04 + 0.06 * stay if stay > 0 else 0.0
    begin = radius + 0.03 if radius else 0.0
    if max(row[:4]) > 1 - 1e-6:
        begin = -REACH  # the only one: through the middle
    arrows = []
    for (x, y), chance in zip(MOVES, row):
        if chance > 0:
            end = begin + (REACH - begin) * (0.45 + 0.55 * chance)
            corners = _arrow(begin, end) * (1, 0.5 + 0.5 * chance)
            arrows.append(corners @ [(x, y), (-y, x)])
    return arrows, radius


def _arrow(begin: float, end: float) -> np.ndarray:
    """Corners of an arrow to the right along the x-axis, at its thickest."""
    half, wide = 0.02, 0.07
    neck = max(end - 0.11, begin)
    upper = [(begin, half), (neck, half), (neck, wide)]
    return np.array([*upper, (end, 0.0), *((x, -y) for x, y in reversed(upper))])
