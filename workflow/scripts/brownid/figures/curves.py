"""ROC curves: one panel a benchmark, one line a network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from brownid.figures.style import legend_columns, line_style, new_figure, panel_grid, panel_rows, require

COLUMNS = 3
CHANCE = "chance"
Curve = tuple[np.ndarray, np.ndarray]  # false accept rates and true accept rates [m], both rising


def plot_roc(curves: Mapping[str, Mapping[str, Curve]], path: str | Path, *, title: str | None = None) -> None:
    """Draw `curves[benchmark][network] = (false accept rates, true accept rates)`; a network keeps its colour.

    The axis of false accepts is logarithmic and begins at the smallest rate above zero that any network reaches.
    """
    require(curves, "ROC curves")
    networks = list(dict.fromkeys(network for panel in curves.values() for network in panel))
    styles = {network: line_style(index) for index, network in enumerate(networks)}
    rates = np.concatenate([np.asarray(far) for panel in curves.values() for far, _ in panel.values()])
    smallest = rates[rates > 0].min(initial=0.1)
    rates_of_chance = np.geomspace(smallest, 1, 100)
    rows = panel_rows(len(curves), COLUMNS)
    with new_figure(path, 9.0, 2.75 * rows + 0.5) as figure:
        grid = panel_grid(figure, len(curves), COLUMNS, sharex=True, sharey=True)
        for index, (axes, (benchmark, panel)) in enumerate(zip(grid, curves.items(), strict=True)):
            for network, (far, tar) in panel.items():
                axes.plot(far, tar, label=network, **styles[network])
            axes.plot(rates_of_chance, rates_of_chance, label=CHANCE, color="#bbbbbb", linewidth=0.9, zorder=1)
            axes.set_xscale("log")
            axes.set_xlim(smallest, 1)
            axes.set_ylim(0, 1.01)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.set_title(benchmark)
            axes.tick_params(labelbottom=True)
            if index + COLUMNS >= len(curves):
                axes.set_xlabel("false accept rate")
            if index % COLUMNS == 0:
                axes.set_ylabel("true accept rate")
        lines = {line.get_label(): line for axes in grid for line in axes.lines}
        names = [*networks, CHANCE]
        figure.legend([lines[name] for name in names], names, loc="outside lower center", ncols=legend_columns(names))
        if title:
            figure.suptitle(title)
