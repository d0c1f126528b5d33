"""Scores of networks: accuracies and differences with their intervals, ROC and DET curves, as figures and tables."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from brownid.figures.style import (
    MARKERS,
    MUTED,
    legend_columns,
    line_style,
    new_figure,
    panel_grid,
    panel_rows,
    readable,
    require,
)
from brownid.figures.tables import Table
from brownid.verification.uncertainty import MEAN, Estimate

COLUMNS = 3
CHANCE = "chance"
EQUAL = "equal rates"
NONE = "–"  # in a cell without a number
ONE_NETWORK = "*"  # marks an interval over persons only
Curve = tuple[np.ndarray, np.ndarray]  # false accept rates and true accept rates [m], both rising
Curves = Mapping[str, Mapping[str, Curve]]  # benchmark -> entry -> curve
Estimates = Mapping[str, Mapping[str, Estimate]]  # row -> benchmark, or `MEAN` -> estimate between 0 and 1


def plot_roc(curves: Curves, path: str | Path, *, title: str | None = None) -> None:
    """Draw `curves[benchmark][entry] = (false accept rates, true accept rates)`; an entry keeps its colour.

    The axis of false accepts is logarithmic and begins at the smallest rate above zero that any network reaches.
    """
    smallest = _smallest_rate(curves)
    chance = np.geomspace(smallest, 1, 100)

    def draw(axes: Axes, panel: Mapping[str, Curve]) -> None:
        for entry, (far, tar) in panel.items():
            axes.plot(far, tar, drawstyle="steps-post", label=entry, **_styles(curves)[entry])
        axes.plot(chance, chance, label=CHANCE, color="#bbbbbb", linewidth=0.9, zorder=1)
        axes.set_xscale("log")
        axes.set_xlim(smallest, 1)
        axes.set_ylim(0, 1.01)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _logarithmic_ticks(axes, "x", smallest)

    _draw_panels(curves, draw, path, ("false accept rate (FMR)", "true accept rate (1 − FNMR)"), CHANCE, title)


def plot_det(curves: Curves, path: str | Path, *, title: str | None = None) -> None:
    """Draw the same curves as detection error trade-off: false non-match rate over false match rate, both logarithmic.

    Where a curve ends above the lower edge, no genuine pair is rejected at higher false match rates.
    """
    smallest = _smallest_rate(curves)
    rejected = np.concatenate([1 - tar for panel in curves.values() for _, tar in panel.values()])
    lowest = min(rejected[rejected > 1e-9].min(initial=0.1), 0.5)

    def draw(axes: Axes, panel: Mapping[str, Curve]) -> None:
        for entry, (fmr, tar) in panel.items():
            fnmr = np.where(1 - tar > 1e-9, 1 - tar, np.nan)
            axes.plot(fmr, fnmr, drawstyle="steps-post", label=entry, **_styles(curves)[entry])
        diagonal = [max(smallest, lowest), 1]
        axes.plot(diagonal, diagonal, label=EQUAL, color="#bbbbbb", linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(smallest, 1)
        axes.set_ylim(lowest, 1.05)
        _logarithmic_ticks(axes, "x", smallest)
        _logarithmic_ticks(axes, "y", lowest)

    names = ("false match rate (FMR)", "false non-match rate (FNMR)")
    _draw_panels(curves, draw, path, names, EQUAL, title)


def _smallest_rate(curves: Curves) -> float:
    require(curves, "ROC curves")
    rates = np.concatenate([far for panel in curves.values() for far, _ in panel.values()])
    return float(rates[rates > 0].min(initial=0.1))


def _styles(curves: Curves) -> dict[str, dict]:
    entries = dict.fromkeys(entry for panel in curves.values() for entry in panel)
    return {entry: line_style(index) for index, entry in enumerate(entries)}


def _logarithmic_ticks(axes: Axes, name: str, smallest: float) -> None:
    """Ticks at powers of ten, and at twice and five times these where few of them are in sight; all in per cent."""
    axis = axes.xaxis if name == "x" else axes.yaxis
    factors = (1,) if smallest < 2e-3 else (1, 2, 5)
    powers = range(int(np.floor(np.log10(smallest))), 1)
    axis.set_major_locator(FixedLocator([factor * 10.0**power for power in powers for factor in factors]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))


def _draw_panels(
    curves: Curves,
    draw: Callable[[Axes, Mapping[str, Curve]], None],
    path: str | Path,
    names: tuple[str, str],
    last: str,
    title: str | None,
) -> None:
    """A panel per benchmark, with one legend whose `last` line is the same in all."""
    with new_figure(path, 9.0, 2.75 * panel_rows(len(curves), COLUMNS) + 0.5) as figure:
        grid = panel_grid(figure, len(curves), COLUMNS, sharex=True, sharey=True)
        for index, (axes, (benchmark, panel)) in enumerate(zip(grid, curves.items(), strict=True)):
            draw(axes, panel)
            axes.set_title(readable(benchmark))
            axes.tick_params(labelbottom=True)
            if index + COLUMNS >= len(curves):
                axes.set_xlabel(names[0])
            if index % COLUMNS == 0:
                axes.set_ylabel(names[1])
        lines = {line.get_label(): line for axes in grid for line in axes.lines}
        shown = [*_styles(curves), last]
        figure.legend([lines[name] for name in shown], shown, loc="outside lower center", ncols=legend_columns(shown))
        if title:
            figure.suptitle(title)


def mean_row(estimates: Estimates) -> list[str]:
    """The benchmarks of a group of estimates, and `MEAN`, in order."""
    return list(dict.fromkeys(name for row in estimates.values() for name in row))


def score_table(estimates: Estimates, *, title: str = "", confidence: float = 0.95) -> Table:
    """A row per entry in per cent, a column per benchmark, their mean and its interval; the best of each in bold.

    After ± stands the standard deviation over trainings. Intervals of one network are marked `ONE_NETWORK`.
    """
    require(estimates, "scores")
    columns = mean_row(estimates)
    header = ["entry", "networks", *map(readable, columns), interval_name(confidence)]
    rows = [
        [entry, str(row[MEAN].trainings[0]), *(_percent(row[name]) for name in columns), _interval(row[MEAN])]
        for entry, row in estimates.items()
    ]
    values = np.array([[round(row[name].value, 4) for name in columns] for row in estimates.values()])
    best = np.argwhere((values == values.max(axis=0)) & (len(values) > 1))
    bold = frozenset((int(row), int(column) + 2) for row, column in best)
    return Table(header, rows, title, bold, frozenset({MEAN, header[-1]}))


def difference_table(estimates: Estimates, *, title: str = "", confidence: float = 0.95) -> Table:
    """A row per comparison in points (hundredths), the mean with its interval.

    In bold where an interval excludes zero, unless it leaves out the trainings of an entry.
    """
    require(estimates, "differences")
    columns = mean_row(estimates)
    header = ["difference", "networks", *map(readable, columns), interval_name(confidence)]
    rows = [
        [comparison, " and ".join(map(str, row[MEAN].trainings)), *(_points(row[name].value) for name in columns),
         _interval(row[MEAN], "+")]
        for comparison, row in estimates.items()
    ]  # fmt: skip
    bold = frozenset(
        (number, column + 2)
        for number, row in enumerate(estimates.values())
        for column, name in enumerate(columns)
        if 1 not in row[name].trainings and (row[name].low > 0 or row[name].high < 0)
    )
    return Table(header, rows, title, bold, frozenset({MEAN, header[-1]}))


def interval_name(confidence: float) -> str:
    """The heading of intervals."""
    return f"{100 * confidence:g} % interval"


def _points(difference: float) -> str:
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # + 0.0: a difference of -1e-17 is +0.00


def _percent(estimate: Estimate) -> str:
    spread = "" if np.isnan(estimate.std) else f" ± {100 * estimate.std:.2f}"
    return f"{100 * estimate.value:.2f}{spread}"


def _interval(estimate: Estimate, sign: str = "") -> str:
    mark = ONE_NETWORK if 1 in estimate.trainings else ""
    return f"{100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f}{mark}"


def plot_scores(
    estimates: Estimates,
    path: str | Path,
    *,
    single: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    confidence: float = 0.95,
    title: str | None = None,
) -> None:
    """Draw the accuracy of every entry on every benchmark and the mean, with intervals as bars.

    `single[entry][benchmark]` are the accuracies of the single networks of an entry, shown as small circles.
    """
    require(estimates, "scores")
    rows, entries = mean_row(estimates), list(estimates)
    offsets = (np.arange(len(entries)) - (len(entries) - 1) / 2) * min(0.13, 0.7 / len(entries))
    height = 0.5 * len(rows) * max(1, len(entries) / 6) + 0.3 * len(entries) ** 0.5 + 1.0
    with new_figure(path, 6.4, height) as figure:
        axes = figure.subplots()
        for index, (entry, row) in enumerate(estimates.items()):
            _draw_entry(axes, index, entry, np.arange(len(rows)) + offsets[index], row, (single or {}).get(entry, {}))
        for boundary in range(1, len(rows)):
            axes.axhline(boundary - 0.5, color="#e4e4e4", linewidth=0.6)
        axes.axhspan(len(rows) - 1.5, len(rows) - 0.5, color="#f4f4f4", zorder=0)
        axes.set_yticks(range(len(rows)), [readable(name) for name in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, -0.005), min(high, 1.005))  # an accuracy is a share, and so is its interval
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("verification accuracy")
        several = any(row[MEAN].trainings[0] > 1 for row in estimates.values())
        over = "persons and trainings" if several else "persons"
        circles = "; circles: single networks" if several and single else ""
        figure.legend(
            loc="outside lower center",
            ncols=min(4, legend_columns(entries)),
            title=f"bars: {interval_name(confidence)} over {over}{circles}",
            title_fontsize=8,
        )
        if title:
            axes.set_title(title)


def _draw_entry(
    axes: Axes,
    index: int,
    entry: str,
    heights: np.ndarray,
    row: Mapping[str, Estimate],
    single: Mapping[str, np.ndarray],
) -> None:
    style = {"color": line_style(index)["color"], "linestyle": "none"}
    values = list(row.values())
    errors = [[value.value - value.low for value in values], [value.high - value.value for value in values]]
    axes.errorbar(
        [value.value for value in values], heights, xerr=errors, label=entry, marker=MARKERS[index % len(MARKERS)],
        markersize=4.5, elinewidth=1, capsize=1.5, capthick=0.8, **style,
    )  # fmt: skip
    for height, name in zip(heights, row, strict=True):
        dots = single.get(name, ())
        if len(dots) > 1:
            axes.plot(dots, [height] * len(dots), marker="o", markersize=2.4, markerfacecolor="white",
                      markeredgewidth=0.6, zorder=3, **style)  # fmt: skip


def plot_differences(
    estimates: Estimates, path: str | Path, *, confidence: float = 0.95, title: str | None = None
) -> None:
    """Draw the difference of each comparison: large the mean over benchmarks, small those on single benchmarks."""
    require(estimates, "differences")
    with new_figure(path, 6.4, 0.62 * len(estimates) + 1.3) as figure:
        axes = figure.subplots()
        for number, row in enumerate(estimates.values()):
            _draw_difference(axes, number, row)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.set_yticks(range(len(estimates)), list(estimates))
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("difference of accuracies (points)")
        explained = f"bars: {interval_name(confidence)} over persons and trainings; blue: mean, grey: single benchmarks"
        figure.supxlabel(explained, fontsize=8, color=MUTED)
        if title:
            axes.set_title(title)


def _draw_difference(axes: Axes, number: int, row: Mapping[str, Estimate]) -> None:
    names = [MEAN, *(name for name in row if name != MEAN)]
    for place, name in enumerate(names):
        estimate, mean = row[name], name == MEAN
        height = number - 0.28 + 0.56 * place / max(len(names) - 1, 1)
        errors = [[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]]
        axes.errorbar(
            100 * estimate.value, height, xerr=errors, marker="o", markersize=5 if mean else 2.5,
            color=line_style(0)["color"] if mean else "#999999", elinewidth=1.6 if mean else 0.8,
        )  # fmt: skip
