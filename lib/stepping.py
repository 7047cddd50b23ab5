"""Runs of an algorithm on a grid, which the reader of a page steps through.

`stepper` takes what an algorithm wrote down after each of its steps, a `Frame` each,
and puts it into the page. The site's script, `step.js`, draws the frame that the reader
asks for, and computes nothing. Where it does not run, and in print, a picture of one
frame stands instead, and a sentence says which.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike

from lib import figures, grids, interactive
from lib.grids import Cell

STEPPABLE = (
    "On the course's website, with JavaScript, its steps can be followed one by one."
)
RING = 0.27  # radius of the ring that is the agent, in widths of a cell


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """What there is to see after one step of an algorithm; copies what it is given.

    values: (S,), row by row; NaN where nothing is to be shown.
    says: what was just done, one plain sentence.
    policy: chances (S, 4) or (S, 5) as `grids.draw` takes them, or (S,) the number of
    the action that is taken, -1 where there is none.
    at: where the agent is. path: where it has been in this episode, in order.
    changed: cells to mark; by default those whose value is not that of the frame before
    (in the first frame, none). An update of q(s, a) need not change max q(s, .).
    A cell is the number of a state or (row, column).
    """

    values: ArrayLike
    says: str
    policy: ArrayLike | None = None
    at: Cell | None = None
    path: Iterable[Cell] = ()
    changed: Iterable[Cell] | None = None

    def __post_init__(self):
        kept = {"values": np.array(self.values, dtype=float), "path": [*self.path]}
        if self.policy is not None:
            kept["policy"] = np.array(self.policy)
        if self.changed is not None:
            kept["changed"] = [*self.changed]
        for name, value in kept.items():
            object.__setattr__(self, name, value)


def stepper(
    runs: Mapping[str, Sequence[Frame]],
    shape: tuple[int, int],
    *,
    alt: str,
    forbidden: Iterable[Cell] = (),
    target: Iterable[Cell] = (),
    digits: int = 2,
    limit: float | None = None,
    picture: tuple[str, int] | None = None,
) -> interactive.Explorer:
    """A grid whose values move as the reader steps through one of several runs.

    runs: {name: frames}; a reader begins at the first frame of the first run, which
    has the number 0: what there is before the first step.
    forbidden, target, digits, limit: as for `grids.draw`; one `limit` for all frames.
    picture: run and number of the frame (from the end if negative) that stands where
    the script does not run, and in print; by default the last frame of the first run.

    Raises:
        ValueError: `alt` is empty; a text holds TeX; there is no run or no such frame;
            what a frame holds does not fit the grid (the message says which frame);
            limit makes no sense; all takes more than `interactive.LIMIT` bytes.
    """
    if not runs or not all(len(frames) for frames in runs.values()):
        raise ValueError(f"runs must hold frames, got {list(runs)}")
    checked = {
        name: [
            _checked(frame, f"of frame {k} of {name!r}", shape)
            for k, frame in enumerate(frames)
        ]
        for name, frames in runs.items()
    }
    said = [frame.says for frames in checked.values() for frame in frames]
    interactive.check_texts(alt, *checked, *said)
    cells = {
        "forbidden": grids.states("forbidden", forbidden, shape),
        "target": grids.states("target", target, shape),
    }
    limit = _limit(checked) if limit is None else limit
    name, number = _chosen(checked, picture)
    drawn = _picture(checked[name][number], shape, digits=digits, limit=limit, **cells)
    looks = {"": 0}
    data = {
        "shape": shape,
        "digits": digits,
        "limit": limit,
        "layout": {"number": grids.NUMBER, "arrows": grids.ARROWS, "ring": RING},
        "colours": figures.COLOURS,
        **cells,
        "runs": [
            {"name": name, "frames": _packed(frames, digits, looks)}
            for name, frames in checked.items()
        ],
        "looks": list(looks),
    }
    inlined = interactive.inline(data, "runs", f"{len(said)} frames: show fewer")
    last = len(checked[name]) - 1
    says = checked[name][number].says.rstrip(".")
    shown = f"{name}, step {number} of {last}. {says}. {STEPPABLE}"
    return interactive.page("stepper", drawn, alt, shown, inlined)


def _checked(frame: Frame, where: str, shape: tuple[int, int]) -> Frame:
    """The frame with its policy as chances and its cells as numbers of states."""
    values = grids.per_state(f"values {where}", frame.values, shape)
    at = None
    if frame.at is not None:
        [at] = grids.states(f"at {where}", [frame.at], shape)
    changed = frame.changed
    if changed is not None:
        changed = grids.states(f"changed {where}", changed, shape)
    path = grids.states(f"path {where}", frame.path, shape)
    if not frame.says.strip():
        raise ValueError(f"says {where} must be a sentence, got {frame.says!r}")
    policy = _policy(f"policy {where}", frame.policy, shape)
    return Frame(values, frame.says, policy, at, path, changed)


def _policy(name: str, policy: ArrayLike | None, shape: tuple[int, int]) -> np.ndarray:
    """Chances in each state; of the actions themselves, chance 1."""
    count = shape[0] * shape[1]
    if policy is None:
        return np.zeros((count, 5))
    policy = np.asarray(policy)
    if policy.ndim != 1:
        return grids.chances(name, policy, shape)
    actions = grids.per_state(name, policy, shape)
    if not np.isin(actions, range(-1, 5)).all():
        raise ValueError(f"{name} must hold actions 0 to 4, or -1, got {policy}")
    return (actions[:, None] == range(5)).astype(float)


def _limit(runs: dict[str, list[Frame]]) -> float:
    """The largest magnitude of all."""
    values = np.concatenate([frame.values for run in runs.values() for frame in run])
    return float(np.abs(np.nan_to_num(values)).max()) or 1.0


def _chosen(
    runs: dict[str, list[Frame]], picture: tuple[str, int] | None
) -> tuple[str, int]:
    """Run and number of the frame that is a picture, not from the end."""
    name, number = picture or (next(iter(runs)), -1)
    count = len(runs.get(name, ()))
    if not -count <= number < count:
        raise ValueError(f"picture must be a run and one of its frames, got {picture}")
    return name, number % count


# What the script gets: of each frame, what is not as it was in the frame before.


def _packed(
    frames: list[Frame], digits: int, looks: dict[str, int]
) -> list[dict[str, object]]:
    """Frames as differences; `looks` numbers the ways a cell's arrows look.

    v: pairs of a state and its value. p: of a state and its look. m: states marked.
    at: the agent's state. k: how much of the path is kept (all if absent), a: what is
    added to it. t: the sentence. What is empty is left out.
    """
    packed, before = [], None
    for frame in frames:
        values = [_rounded(value, digits) for value in frame.values]
        arrows = [looks.setdefault(_look(row), len(looks)) for row in frame.policy]
        path = frame.path
        old = before or ([None] * len(values), [0] * len(values), [], frame)
        kept = _shared(old[2], path)
        changed = frame.changed
        if changed is None:
            same = np.isclose(frame.values, old[3].values, 0, 0, equal_nan=True)
            changed = np.flatnonzero(~same).tolist()
        new = {
            "v": [[s, v] for s, v in enumerate(values) if v != old[0][s]],
            "p": [[s, p] for s, p in enumerate(arrows) if p != old[1][s]],
            "m": changed,
            "at": frame.at,
            "k": kept if kept < len(old[2]) else None,
            "a": path[kept:],
            "t": frame.says,
        }
        packed.append({key: x for key, x in new.items() if x not in (None, [])})
        before = (values, arrows, path, frame)
    return packed


def _shared(one: list[int], other: list[int]) -> int:
    """How many of their first entries two lists share."""
    pairs = enumerate(zip(one, other))
    return next((k for k, (a, b) in pairs if a != b), min(len(one), len(other)))


def _rounded(value: float, digits: int) -> float | None:
    """As it is shown, `1` for 1.0 and 0 without a sign; None for NaN."""
    if np.isnan(value):
        return None
    shown = float(f"{value:.{digits}f}")
    return int(shown) if shown.is_integer() else shown


def _look(row: np.ndarray) -> str:
    """Arrows and circle of one state as an SVG path, in widths of a cell."""
    arrows, radius = grids.marks(row)
    parts = []
    for corners in arrows:
        points = (f"{x:.3g} {y:.3g}" for x, y in corners.round(3) + 0.0)
        parts.append(f"M{'L'.join(points)}z")
    for r in (radius + 0.01, radius - 0.01) if radius else ():
        half = f"a{r:.3g} {r:.3g} 0 1 0 "
        parts.append(f"M{-r:.3g} 0{half}{2 * r:.3g} 0{half}{-2 * r:.3g} 0z")
    return "".join(parts)


def _picture(
    frame: Frame,
    shape: tuple[int, int],
    *,
    digits: int,
    limit: float,
    forbidden: list[int],
    target: list[int],
) -> bytes:
    """One frame as SVG, the agent as a ring, its path as a line."""
    rows, columns = shape
    side = min(7 / columns, 0.8)
    figure = Figure(figsize=(side * columns, side * rows))
    axis = figure.add_axes((0.005, 0.005, 0.99, 0.99))
    grids.draw(
        axis,
        frame.values,
        shape,
        policy=frame.policy,
        forbidden=forbidden,
        target=target,
        digits=digits,
        limit=limit,
    )
    centres = [(s % columns, s // columns + grids.ARROWS) for s in frame.path]
    if len(centres) > 1:
        style = {"color": figures.COLOURS["purple"], "alpha": 0.7, "zorder": 0.5}
        axis.plot(*zip(*centres), **style)
    if frame.at is not None:
        centre = (frame.at % columns, frame.at // columns + grids.ARROWS)
        style = {"fill": False, "edgecolor": figures.COLOURS["green"], "linewidth": 2}
        axis.add_patch(Circle(centre, RING, **style))
    return interactive.svg(figure)
