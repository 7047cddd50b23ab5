"""Figures with sliders, whose every state is computed when the book is built.

`explore` calls a function once for each combination of choices and puts all values into
the page. The site's script, `explore.js`, draws the state that the sliders choose, and
computes nothing. Where it does not run (JavaScript switched off, a notebook), a picture
of the first state stands instead, and a sentence says so.
"""

import base64
import dataclasses
import html
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lib import figures

Scale = Literal["linear", "log"]
Value = int | float | str

# Bytes of values in one figure. A chapter's page without any is about as large.
LIMIT = 300_000

# What the sentence below the picture ends with.
MOVABLE = "On the course's website, with JavaScript, this figure can be moved."

# Series differ in more than colour: lines in dashes, points in shape (also explore.js).
DASHES = ((), (6, 2), (2, 2), (8, 2, 2, 2))
MARKERS = ("o", "s", "^", "D")


@dataclasses.dataclass(frozen=True, repr=False)
class Explorer:
    """The figure: what a cell shows when this is its last value."""

    html: str
    alt: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.alt


@dataclasses.dataclass(frozen=True)
class Axis:
    """What an axis says and how far it reaches; `name` is x or y."""

    name: str
    label: str
    scale: Scale
    limits: tuple[float, float] = (0.0, 1.0)

    def check(self, values: np.ndarray) -> None:
        """Refuse what has no place on the axis.

        Raises:
            ValueError: not finite, or not positive on a logarithmic axis.
        """
        if not np.isfinite(values).all():
            raise ValueError(f"{self.name} must be finite, got NaN or infinity")
        if self.scale == "log" and (values <= 0).any():
            raise ValueError(
                f"{self.name} must be positive on a logarithmic axis, "
                f"got {values.min():g}"
            )

    def around(self, values: np.ndarray) -> "Axis":
        """The same axis, wide enough for `values` and a margin."""
        log = self.scale == "log"
        ends = np.array([values.min(), values.max()])
        low, high = np.log10(ends) if log else ends
        margin = 0.04 * (high - low) or 0.5
        ends = (low - margin, high + margin)
        limits = tuple(_digits(10**end if log else end, 6) for end in ends)
        return dataclasses.replace(self, limits=limits)

    def shown(self, value: float) -> float:
        """Rounded to what a reader can use: four digits on a logarithmic axis.

        On a linear one a thousandth of the axis, or three digits if that is less; a
        millionth of the axis is zero.
        """
        if self.scale == "log" or value == 0:
            return _digits(value, 4)
        span = self.limits[1] - self.limits[0]
        coarse = 4 - math.ceil(math.log10(span))
        places = 2 - math.floor(math.log10(abs(value)))
        return _short(round(float(value), min(max(places, coarse), coarse + 3)))


def explore(
    curves: Callable[..., Mapping[str, ArrayLike]],
    choices: Mapping[str, Sequence[Value]],
    *,
    xlabel: str,
    ylabel: str,
    alt: str,
    x: ArrayLike | None = None,
    xscale: Scale = "linear",
    yscale: Scale = "linear",
    start: Mapping[str, Value] | None = None,
) -> Explorer:
    """A figure with a slider for each choice, or buttons where its values are texts.

    `curves(**choice)` gives {series: values}, the same one to four series every time.
    With `x` of shape (n,), values are (n,) too, drawn as lines over it; without, they
    are points in the plane, (n, 2). The axes are the same in all states. `start` says
    where a choice does not start at its first value. All texts are plain, not TeX; an
    underscore in the name of a choice is shown as a space.

    Raises:
        ValueError: `alt` is empty; a text holds TeX; a choice, scale or start is none;
            values are not finite, not positive on a logarithmic axis, of another shape,
            or take more than `LIMIT` bytes.
    """
    for name, scale in (("xscale", xscale), ("yscale", yscale)):
        if scale not in ("linear", "log"):
            raise ValueError(f"{name} must be linear or log, got {scale!r}")
    offered = {name: list(values) for name, values in choices.items()}
    first = _first(offered, start or {})
    axes = [Axis("x", xlabel, xscale), Axis("y", ylabel, yscale)]
    along = None if x is None else np.asarray(x, dtype=float)
    states = [
        dict(zip(offered, values)) for values in itertools.product(*offered.values())
    ]
    frames = [_points(curves(**state), along, axes) for state in states]
    names = _names(frames)
    check_texts(alt, xlabel, ylabel, *names, *itertools.chain(*offered.items()))
    together = np.concatenate([p for frame in frames for p in frame.values()])
    axes = [axis.around(column) for axis, column in zip(axes, together.T)]

    data = {
        "choices": _described(offered, first),
        "axes": [
            {"label": axis.label, "scale": axis.scale, "limits": axis.limits}
            for axis in axes
        ],
        "series": [
            {"name": name, "colour": colour, "dashes": " ".join(map(str, dashes))}
            for name, colour, dashes in zip(names, figures.COLOURS.values(), DASHES)
        ],
        "x": None if x is None else [_digits(value, 6) for value in along],
        **_packed(frames, axes, lines=x is not None),
    }
    inlined = inline(
        data,
        "choices",
        f"{len(states)} states: offer fewer values, or draw fewer points",
    )
    picture = _picture(frames[states.index(first)], axes, lines=x is not None)
    shown = ", ".join(
        f"{_spoken(name)} {_label(value)}" for name, value in first.items()
    )
    return page("explore", picture, alt, f"{shown}. {MOVABLE}", inlined)


def _first(
    offered: dict[str, list[Value]], start: Mapping[str, Value]
) -> dict[str, Value]:
    """The state that is shown first."""
    if not offered or not all(offered.values()):
        raise ValueError(f"choices must offer values to choose from, got {offered}")
    first = {name: values[0] for name, values in offered.items()} | dict(start)
    for name, value in first.items():
        if value not in offered.get(name, []):
            raise ValueError(f"start must be among the choices, got {name}={value!r}")
    return first


def _described(
    offered: dict[str, list[Value]], first: dict[str, Value]
) -> list[dict[str, object]]:
    """What the script needs of each choice."""
    return [
        {
            "name": _spoken(name),
            "values": [_label(value) for value in values],
            "buttons": all(isinstance(value, str) for value in values),
            "first": values.index(first[name]),
        }
        for name, values in offered.items()
    ]


def _points(
    curves: Mapping[str, ArrayLike], along: np.ndarray | None, axes: list[Axis]
) -> dict[str, np.ndarray]:
    """One state: the points (n, 2) of every series, checked."""
    frame = {}
    for name, values in curves.items():
        values = np.asarray(values, dtype=float)
        if along is not None:
            if along.ndim != 1 or values.shape != along.shape:
                raise ValueError(
                    f"curves must give {name!r} the shape of x, one axis: "
                    f"{along.shape}, got {values.shape}"
                )
            values = np.stack([along, values], axis=1)
        if values.ndim != 2 or values.shape[1] != 2 or not values.size:
            raise ValueError(
                f"curves must give points {name!r} of shape (n, 2) where there is no x,"
                f" got {values.shape}"
            )
        for axis, column in zip(axes, values.T):
            axis.check(column)
        frame[name] = values
    return frame


def _names(frames: list[dict[str, np.ndarray]]) -> list[str]:
    """The names of the series, the same in all states."""
    names = list(frames[0])
    others = [list(frame) for frame in frames if list(frame) != names]
    if others or not 1 <= len(names) <= len(DASHES):
        raise ValueError(
            f"curves must give the same 1 to {len(DASHES)} series in all states, "
            f"got {names}" + "".join(f" and {other}" for other in others[:1])
        )
    return names


def _packed(
    frames: list[dict[str, np.ndarray]], axes: list[Axis], *, lines: bool
) -> dict[str, list]:
    """The values: each different series once, and its number in every state."""
    numbers, states = {}, []
    for frame in frames:
        rows = [
            [[axis.shown(v) for axis, v in zip(axes, point)] for point in points]
            for points in frame.values()
        ]
        if lines:
            rows = [[y for _, y in row] for row in rows]
        texts = [json.dumps(row) for row in rows]
        states.append([numbers.setdefault(text, len(numbers)) for text in texts])
    return {"rows": [json.loads(text) for text in numbers], "states": states}


def _picture(frame: dict[str, np.ndarray], axes: list[Axis], *, lines: bool) -> bytes:
    """One state as SVG."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axis = figure.subplots()
    for (name, points), dashes, marker in zip(frame.items(), DASHES, MARKERS):
        if lines:
            axis.plot(*points.T, label=name, dashes=dashes)
        else:
            axis.plot(*points.T, marker, ms=4, label=name)
    for side in axes:
        settings = {"label": side.label, "scale": side.scale, "lim": side.limits}
        axis.set(**{f"{side.name}{key}": value for key, value in settings.items()})
    axis.legend()
    return svg(figure)


# What every figure needs that a script of the site moves.


def check_texts(alt: str, *texts: object) -> None:
    """Refuse a figure that says nothing to those who cannot see it, and TeX.

    Raises:
        ValueError: `alt` is empty, or one of the texts holds TeX.
    """
    if not alt.strip():
        raise ValueError(f"alt must say what the figure shows, got {alt!r}")
    for text in texts:
        if "$" in str(text):
            raise ValueError(f"labels and names must be plain, not TeX, got {text!r}")


def inline(data: object, name: str, hint: str) -> str:
    """The values as the page holds them; `name` and `hint` are for the error.

    Raises:
        ValueError: they take more than `LIMIT` bytes.
    """
    inlined = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    size = len(inlined.encode())
    if size > LIMIT:
        raise ValueError(
            f"{name} must fit into {LIMIT:,} bytes, got {size:,} for {hint}"
        )
    return inlined.replace("<", "\\u003c")  # or it might end the script


def svg(figure: Figure) -> bytes:
    """A picture that is the same bytes on every run."""
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    return picture.getvalue()


def page(kind: str, picture: bytes, alt: str, shown: str, inlined: str) -> Explorer:
    """The figure as HTML: a picture, what is shown there, the values for the script.

    kind: the class of the figure, by which a page loads its script.
    """
    source = "data:image/svg+xml;base64," + base64.b64encode(picture).decode()
    text = (
        f'<figure class="{kind}">\n'
        f'<img alt="{html.escape(alt)}" src="{source}">\n'
        f"<figcaption>Shown: {html.escape(shown)}</figcaption>\n"
        f'<script type="application/json">{inlined}</script>\n'
        "</figure>"
    )
    return Explorer(text, alt)


# Names and numbers.


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _label(value: Value) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _digits(value: float, count: int) -> float:
    return _short(float(f"{value:.{count}g}"))


def _short(value: float) -> float:
    """A whole number as int: `1`, not `1.0`; and zero without a sign."""
    return int(value) if value.is_integer() else value
