"""Histograms of angles between embeddings: genuine, impostor, nearest neighbour, to the training set."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brownid.errors import BrownidError
from brownid.figures.style import MUTED, line_style, new_figure, require


def plot_angles(
    histograms: Mapping[str, np.ndarray],
    edges: np.ndarray,
    path: str | Path,
    *,
    marks: Mapping[str, float] | None = None,
    title: str | None = None,
) -> None:
    """Draw `histograms[name] = counts [b]` over shared bin `edges` `[b + 1]` in radians, each as a density.

    `marks` are thresholds to show: name -> angle. A distribution without any angle is left out.
    """
    filled = {name: np.asarray(counts, dtype=np.float64) for name, counts in histograms.items() if np.sum(counts) > 0}
    require(filled, "angles")
    for name, counts in filled.items():
        if len(counts) != len(edges) - 1:
            raise BrownidError(f"The histogram {name!r} has {len(counts)} bins, its edges make {len(edges) - 1}.")
    edges = np.asarray(edges, dtype=np.float64)
    with new_figure(path, 6.4, 3.6) as figure:
        axes = figure.subplots()
        for index, (name, counts) in enumerate(filled.items()):
            density = counts / (counts.sum() * np.diff(edges))
            mean = (counts * (edges[1:] + edges[:-1]) / 2).sum() / counts.sum()
            style = line_style(index)
            axes.stairs(density, edges, fill=True, color=style["color"], alpha=0.16, linewidth=0)
            axes.stairs(density, edges, label=f"{name} (mean {mean:.2f})", linewidth=1.4, **style)
        for name, angle in (marks or {}).items():
            axes.axvline(angle, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
            axes.annotate(
                name,
                (angle, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-3, -2),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="top",
                fontsize=7.5,
                color=MUTED,
            )
        occupied = np.flatnonzero(sum(filled.values()))
        margin = 0.05
        angles = [edges[occupied[0]], edges[occupied[-1] + 1], *(marks or {}).values()]
        axes.set_xlim(max(0, min(angles) - margin), max(angles) + margin)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("angle (radians)")
        axes.set_ylabel("density")
        figure.legend(loc="outside lower center", ncols=2)
        if title:
            axes.set_title(title)
