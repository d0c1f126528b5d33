"""Statistics of a run over its iterations, angles of a packing stage by stage, and histograms of angles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brownid.figures.style import MUTED, add_cosines, line_style, new_figure, panel_grid, panel_rows, readable, require
from brownid.runtime.errors import BrownidError

COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """One panel: lines by the name of their statistic; `x_avg` gets a band from `x_min` to `x_max`, if any."""

    title: str
    unit: str
    lines: Mapping[str, str]  # statistic -> legend; an empty legend for a line that needs none
    logarithmic: bool = False
    bands: bool = True
    beneath: str = ""  # the statistic whose line is wide and pale, below the others, since it may coincide with one


PANELS = (
    Panel(
        "Angles between embeddings", "radians", {"dist_avg": "mean (band: min to max)", "nn_mean": "nearest neighbour"}
    ),
    Panel("Angles to the reference", "radians", {"refd_avg": "mean (band: min to max)"}),
    Panel("Pairs beyond the threshold", "share of pairs", {"prop_ict": ""}),
    Panel("Energy", "U", {"energy": ""}, logarithmic=True),
    Panel(
        "Distances between latents",
        "latent units",
        {"w2wd_avg": "mean (band: min to max)", "wavg_avg": "to mean latent"},
    ),
    Panel(
        "Forces, mean norm",
        "force",
        {"intf_avg": "interaction", "latf_avg": "latent space", "rndf_avg": "random", "totf_avg": "total"},
        logarithmic=True,
        bands=False,
        beneath="totf_avg",
    ),
    Panel("Time step", "Δt", {"timestep": ""}),
    Panel("Angles to nearest neighbours", "radians", {"nn_avg": "mean (band: min to max)"}),
    Panel("Angles to the gallery", "radians, to its nearest, mean", {"gallery_avg": ""}),
    Panel("Angles to the targets", "radians", {"angle_avg": "mean (band: min to max)"}),
    Panel("Loss", "mean over identities", {"loss_avg": ""}, logarithmic=True),
    Panel("Learning rate", "rate", {"learning_rate": ""}),
)
ITERATION = "iteration"  # the statistic that says which iterations were recorded, where not all were


def plot_statistics(statistics: Mapping[str, np.ndarray], path: str | Path, *, title: str | None = None) -> None:
    """Draw the statistics of a stats.h5: name -> array `[records]`. Panels without any statistic are left out.

    There is one record per iteration, unless the statistic `iteration` says which iteration each describes. A
    statistic that is NaN throughout counts as absent. A single record has no curves: its values are written instead.
    """
    statistics = {name: values for name, values in statistics.items() if not _is_blank(values)}
    panels = [panel for panel in PANELS if any(name in statistics for name in panel.lines)]
    require(panels, "statistics")
    if all(len(statistics[name]) == 1 for panel in panels for name in panel.lines if name in statistics):
        _write_values(panels, statistics, path, title)
        return
    with new_figure(path, 9.0, 2.35 * panel_rows(len(panels), COLUMNS) + (0.3 if title else 0)) as figure:
        for axes, panel in zip(panel_grid(figure, len(panels), COLUMNS), panels, strict=True):
            _draw(axes, panel, statistics)
        figure.supxlabel("iteration", fontsize=9, color="#333333")
        if title:
            figure.suptitle(title)


def _write_values(
    panels: Sequence[Panel], statistics: Mapping[str, np.ndarray], path: str | Path, title: str | None
) -> None:
    lines = [
        f"{panel.title}{f', {legend.partition(chr(32) + chr(40))[0]}' if legend else ''}: "
        f"{float(statistics[name][0]):.4g} {panel.unit}"
        for panel in panels
        for name, legend in panel.lines.items()
        if name in statistics
    ]
    with new_figure(path, 6.4, 0.8 + 0.2 * len(lines)) as figure:
        text = "\n".join(["One record, of the start: nothing was iterated.", "", *lines])
        figure.text(0.03, 0.85, text, va="top", fontsize=9, linespacing=1.5)
        if title:
            figure.suptitle(title, x=0.03, ha="left")


def _is_blank(values: np.ndarray) -> bool:
    """Whether nothing was measured, as distances to a gallery that a packing did not have."""
    return len(values) > 0 and bool(np.isnan(values).all())


def _draw(axes: Axes, panel: Panel, statistics: Mapping[str, np.ndarray]) -> None:
    drawn = []
    for index, (name, legend) in enumerate(panel.lines.items()):
        if name not in statistics:
            continue
        values = np.asarray(statistics[name], dtype=np.float64)
        drawn.append(values)
        iterations = np.asarray(statistics.get(ITERATION, np.arange(len(values))))
        beneath = {"linewidth": 4.5, "alpha": 0.35, "zorder": 1.5} if name == panel.beneath else {}
        axes.plot(iterations, values, label=legend, **line_style(index) | beneath)
        low, high = (statistics.get(name.replace("_avg", end)) for end in ("_min", "_max"))
        if panel.bands and name.endswith("_avg") and low is not None and high is not None:
            axes.fill_between(iterations, low, high, color=line_style(index)["color"], alpha=0.15, linewidth=0)
    # a random force of zero, an energy that has vanished or one below zero has no place on a logarithmic axis
    together = np.concatenate(drawn)
    positive = together[together > 0]
    if panel.logarithmic and not (together < 0).any() and len(positive) and np.ptp(np.log10(positive)) > 1:
        axes.set_yscale("log")
    if panel.unit.startswith("radians"):
        axes.set_ylim(bottom=max(0, axes.get_ylim()[0]), top=min(np.pi, axes.get_ylim()[1]))
        add_cosines(axes, "right").set_ylabel("cosine")
    axes.set_title(panel.title)
    axes.set_ylabel(panel.unit)
    cast(MaxNLocator, axes.xaxis.get_major_locator()).set_params(integer=True)
    if any(panel.lines.values()):
        axes.legend()


BINS = 120
PANEL_HEIGHT = 0.82  # inches


def plot_packing(angles: Mapping[str, np.ndarray], bound: float, path: str | Path, *, title: str | None = None) -> None:
    """Draw a histogram of `angles[stage]` (radians, `[k]`) for each stage, on one axis of angles.

    Each has a height of its own, because a packing gathers its angles in a narrow range, compared with which those of
    pictures would be flat. `bound` (radians), which no smallest angle can exceed, is marked through all of them.
    """
    require(angles, "angles")
    values = np.concatenate([*angles.values(), [bound]])
    margin = 0.03 * (np.ptp(values) or 1.0)
    edges = np.linspace(values.min() - margin, values.max() + margin, BINS + 1)
    with new_figure(path, 6.4, 0.9 + PANEL_HEIGHT * len(angles)) as figure:
        panels = figure.subplots(len(angles), sharex=True, squeeze=False)[:, 0]
        for index, (axes, stage) in enumerate(zip(panels, angles, strict=True)):
            _draw_stage(axes, stage, np.asarray(angles[stage], np.float64), edges, line_style(index)["color"])
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
        panels[-1].set_xlabel("angle to the nearest other identity (radians; below: its cosine)")
        panels[-1].set_xlim(edges[0], edges[-1])
        add_cosines(panels[-1], -1.0)
        if title:
            figure.suptitle(title)


def _draw_stage(axes: Axes, stage: str, angles: np.ndarray, edges: np.ndarray, colour: str) -> None:
    counts = np.histogram(angles, edges)[0]
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.16, linewidth=0)
    axes.stairs(counts, edges, color=colour, linewidth=1.2)
    axes.axvline(angles.mean(), color=colour, linewidth=1.6)
    axes.set_title(stage, color=colour)
    axes.set_title(f"smallest {angles.min():.3f}, mean {angles.mean():.3f}", loc="right", fontsize=8, weight="normal")
    axes.set_ylim(0, 1.08 * counts.max())
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


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
            axes.stairs(density, edges, label=f"{readable(name)} (mean {mean:.2f})", linewidth=1.4, **style)
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
        add_cosines(axes, "top").set_xlabel("cosine")
        figure.legend(loc="outside lower center", ncols=2)
        if title:
            figure.suptitle(title)
