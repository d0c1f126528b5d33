"""The house style of all figures."""

import io
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axes._secondary_axes import SecondaryAxis
from matplotlib.figure import Figure

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path

# Okabe and Ito's colours, told apart by colour-blind readers, the pale ones left out; then the same again, dashed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222")
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)))
MARKERS = "osD^vP*Xph"
MUTED = "#666666"
RESOLUTION = 160  # pixels an inch

HOUSE_STYLE = {
    "figure.dpi": RESOLUTION,
    "savefig.dpi": RESOLUTION,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.color": "#888888",
    "ytick.color": "#888888",
    "xtick.labelcolor": "#333333",
    "ytick.labelcolor": "#333333",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
}


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the `index`-th series of a figure; the first 21 differ."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index // len(COLOURS) % len(LINES)]}


@contextmanager
def new_figure(path: str | Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` x `height` inches in the house style, written to `path` as PNG when the block ends well.

    The user's own matplotlib settings play no part, and the file holds no date and no program version.
    """
    with matplotlib.style.context(["default", HOUSE_STYLE]):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        drawn = io.BytesIO()  # Pillow hides why it cannot write a file
        figure.savefig(drawn, format="png", metadata={"Software": None})
        with atomic_path(path) as temporary:
            temporary.write_bytes(drawn.getvalue())


def panel_grid(figure: Figure, count: int, columns: int, **options: Any) -> list[Axes]:
    """`count` axes in rows of at most `columns`; left-over places stay empty."""
    columns = min(columns, count)
    axes = figure.subplots(-(-count // columns), columns, squeeze=False, **options).ravel()
    for spare in axes[count:]:
        spare.remove()
    return list(axes[:count])


def panel_rows(count: int, columns: int) -> int:
    """The rows that `panel_grid` makes."""
    return -(-count // min(columns, count))


def legend_columns(names: Sequence[str]) -> int:
    """Number of legend entries per row below a figure, fewer for long names."""
    return max(1, min(len(names), 6, 110 // (max(map(len, names)) + 6)))


def add_cosines(axes: Axes, location: Literal["top", "right"] | float) -> SecondaryAxis:
    """An axis of the cosines at `location` ("top", "right", or below by this part of the height) of axes in radians."""
    functions = (np.cos, lambda cosine: np.arccos(np.clip(cosine, -1, 1)))
    if location == "right":
        return axes.secondary_yaxis("right", functions=functions)
    return axes.secondary_xaxis(location, functions=functions)


TITLES = {  # of benchmarks, and of what tables call by names of columns
    "agedb_30": "AgeDB-30",
    "calfw": "CALFW",
    "cfp_ff": "CFP-FF",
    "cfp_fp": "CFP-FP",
    "cplfw": "CPLFW",
    "lfw": "LFW",
    "rfw": "RFW",
    "vgg2_fp": "VGGFace2-FP",
    "nearest": "nearest impostor",
    "nearest_impostor": "nearest impostor",
    "nearest_neighbour": "nearest neighbour",
    "to_training": "nearest training image",
}


def readable(name: str) -> str:
    """The title of a benchmark or column where people read it; names that have none stay as they are."""
    first, blank, rest = name.partition(" ")  # a benchmark may be followed by what is in brackets
    return f"{TITLES.get(first, first)}{blank}{rest}"


def require(series: Sized, what: str) -> None:
    """Refuse to draw an empty figure."""
    if not len(series):
        raise BrownidError(f"There are no {what} to draw: was the stage before run on an empty set?")
