"""How a run went, of the dynamics, a packing or an inversion: its statistics over the iterations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from brownid.figures.style import line_style, new_figure, panel_grid, panel_rows, require

COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """One panel: lines by the name of their statistic; `x_avg` gets a band from `x_min` to `x_max`, if any."""

    title: str
    unit: str
    lines: Mapping[str, str]  # statistic -> legend; an empty legend for a line that needs none
    logarithmic: bool = False
    bands: bool = True


PANELS = (
    Panel(
        "Angles between embeddings", "radians", {"dist_avg": "mean (band: min to max)", "nn_mean": "nearest neighbour"}
    ),
    Panel("Angles to the reference", "radians", {"refd_avg": "mean (band: min to max)"}),
    Panel("Pairs farther apart than the threshold", "share of pairs", {"prop_ict": ""}),
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

    There is one record an iteration, unless the statistic `iteration` says which iteration each describes. A
    statistic that is NaN throughout counts as absent.
    """
    statistics = {name: values for name, values in statistics.items() if not _is_blank(values)}
    panels = [panel for panel in PANELS if any(name in statistics for name in panel.lines)]
    require(panels, "statistics")
    with new_figure(path, 9.0, 2.35 * panel_rows(len(panels), COLUMNS) + (0.3 if title else 0)) as figure:
        for axes, panel in zip(panel_grid(figure, len(panels), COLUMNS), panels, strict=True):
            _draw(axes, panel, statistics)
        figure.supxlabel("iteration", fontsize=9, color="#333333")
        if title:
            figure.suptitle(title)


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
        marker = "o" if len(values) == 1 else None  # a line needs two
        axes.plot(iterations, values, label=legend, marker=marker, **line_style(index))
        low, high = (statistics.get(name.replace("_avg", end)) for end in ("_min", "_max"))
        if panel.bands and name.endswith("_avg") and low is not None and high is not None:
            axes.fill_between(iterations, low, high, color=line_style(index)["color"], alpha=0.15, linewidth=0)
    # a random force of zero, an energy that has vanished or one below zero has no place on a logarithmic axis
    signed = any((values < 0).any() for values in drawn)
    if panel.logarithmic and not signed and any((values > 0).any() for values in drawn):
        axes.set_yscale("log")
    axes.set_title(panel.title)
    axes.set_ylabel(panel.unit)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if any(panel.lines.values()):
        axes.legend()
