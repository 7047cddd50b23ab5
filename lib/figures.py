"""How every figure of the book looks, and how an error is shown on purpose.

Importing this module applies the style: a transparent background, text and axes in a
grey that reads as well on a white page as on a near-black one, colours that the colour
blind can tell apart, and no lines that say nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.image import AxesImage
from matplotlib_inline import backend_inline
from numpy.typing import ArrayLike

# Contrast 4.3 to both #ffffff and #121212; no grey does better on both.
INK = "#7a7a7a"

# From the palette of Okabe and Ito, those with a contrast of 3 or more to both pages.
COLOURS = {
    "blue": "#0072b2",
    "vermilion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
}

# Nothing at zero, so that the page shows through whatever its colour.
DIVERGING = LinearSegmentedColormap.from_list(
    "diverging",
    [
        (0.0, to_rgba(COLOURS["blue"])),
        (0.5, to_rgba(COLOURS["blue"], 0)),
        (0.5, to_rgba(COLOURS["vermilion"], 0)),
        (1.0, to_rgba(COLOURS["vermilion"])),
    ],
)

STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.prop_cycle": cycler(color=list(COLOURS.values())),
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "font.size": 10,
    # Shapes instead of fonts the reader may not have; the same bytes on every run.
    "svg.fonttype": "path",
    "svg.hashsalt": "figures",
}

matplotlib.rcParams.update(STYLE)
backend_inline.set_matplotlib_formats("svg", metadata={"Date": None})


def heatmap(
    axis: Axes,
    table: ArrayLike,
    *,
    title: str = "",
    xlabel: str = "",
    limit: float | None = None,
) -> AxesImage:
    """Draw a table of numbers: blue below zero, vermilion above, nothing at zero.

    The colours are saturated at ±`limit`, by default the largest magnitude. The first
    row is at the top. Returns the image, for `figure.colorbar`.
    """
    image = axis.imshow(
        np.asarray(table), cmap=DIVERGING, aspect="auto", interpolation="nearest"
    )
    most = abs(image.get_array()).max() if limit is None else limit
    image.set_clim(-most, most)
    axis.set(title=title, xlabel=xlabel)
    return image


@contextmanager
def expected(*exceptions: type[Exception]) -> Iterator[None]:
    """Print the error that a chapter wants to show, as 'TypeName: message'.

    Raises:
        AssertionError: the block raised nothing. Any other error passes through.
    """
    try:
        yield
    except exceptions as error:
        print(f"{type(error).__name__}: {error}")
    else:
        names = ", ".join(kind.__name__ for kind in exceptions)
        raise AssertionError(f"expected {names}, and nothing was raised")
