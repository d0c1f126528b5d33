"""What is left of a packing in its pictures: nearest-neighbour angles stage by stage, one below the other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from brownid.figures.style import MUTED, line_style, new_figure, require

BINS = 120
PANEL_HEIGHT = 0.82  # inches


def plot_packing(angles: Mapping[str, np.ndarray], bound: float, path: str | Path, *, title: str | None = None) -> None:
    """Draw a histogram of `angles[stage]` (radians, `[k]`) for each stage, on one axis of angles.

    Each has a height of its own, because a packing gathers its angles in a hair's breadth, beside which those of
    pictures would be flat. `bound` (radians), which no smallest angle can exceed, is marked through all of them.
    """
    require(angles, "angles")
    values = np.concatenate([*angles.values(), [bound]])
    margin = 0.03 * (np.ptp(values) or 1.0)
    edges = np.linspace(values.min() - margin, values.max() + margin, BINS + 1)
    with new_figure(path, 6.4, 0.9 + PANEL_HEIGHT * len(angles)) as figure:
        panels = figure.subplots(len(angles), sharex=True, squeeze=False)[:, 0]
        for index, (axes, stage) in enumerate(zip(panels, angles, strict=True)):
            _draw(axes, stage, np.asarray(angles[stage], np.float64), edges, line_style(index)["color"])
            axes.axvline(bound, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        panels[0].annotate(
            f"bound {bound:.3f}",
            (bound, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-3, -1),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7.5,
            color=MUTED,
        )
        panels[-1].set_xlabel("angle to the nearest other identity (radians)")
        panels[-1].set_xlim(edges[0], edges[-1])
        if title:
            figure.suptitle(title)


def _draw(axes: Axes, stage: str, angles: np.ndarray, edges: np.ndarray, colour: str) -> None:
    counts = np.histogram(angles, edges)[0]
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.16, linewidth=0)
    axes.stairs(counts, edges, color=colour, linewidth=1.2)
    axes.axvline(angles.mean(), color=colour, linewidth=1.6)
    axes.set_title(stage, color=colour)
    axes.set_title(f"smallest {angles.min():.3f}, mean {angles.mean():.3f}", loc="right", fontsize=8, weight="normal")
    axes.set_ylim(0, 1.08 * counts.max())
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
