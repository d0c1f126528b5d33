"""Benchmark accuracies and ROC curves by network, as figures and tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from brownid.figures.style import MARKERS, legend_columns, line_style, new_figure, panel_grid, panel_rows, require

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


MEAN = "mean"
Scores = Mapping[str, Mapping[str, float]]  # network -> benchmark -> accuracy between 0 and 1


def score_table(scores: Scores) -> pd.DataFrame:
    """One row per network, one column per benchmark, in the order given, and their mean; accuracies between 0 and 1.

    A network that was not scored on a benchmark has NaN there and no mean: means over different benchmarks would not be
    comparable.
    """
    require(scores, "scores")
    benchmarks = list(dict.fromkeys(name for row in scores.values() for name in row))
    table = pd.DataFrame.from_dict(dict(scores), orient="index").reindex(index=list(scores), columns=benchmarks)
    table = table.astype(np.float64)
    table[MEAN] = table.mean(axis=1, skipna=False)
    table.index.name = "network"
    return table


def markdown_table(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """A score table in per cent as Markdown, the best of each column in bold, and a list of notes below."""
    rows = [["network", *map(str, table.columns)], ["---", *["---:"] * table.shape[1]]]
    for (name, values), best in zip(table.iterrows(), _best(table), strict=True):
        numbers = [_percent(value) for value in values]
        rows.append([str(name), *(f"**{text}**" if bold else text for text, bold in zip(numbers, best, strict=True))])
    listed = "".join(f"- {note}\n" for note in notes)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + (f"\n{listed}" if listed else "")


def html_table(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """A score table in per cent as a page of its own for the report, the best of each column in bold, and the notes."""
    best = pd.DataFrame(_best(table), index=table.index, columns=table.columns)
    text = table.map(_percent)
    text = text.where(~best, "<b>" + text + "</b>").rename_axis(None)
    text.index = [_escape(str(name)) for name in text.index]
    text.columns = [_escape(str(name)) for name in text.columns]
    paragraphs = "".join(f"\n<p>{_escape(note)}</p>" for note in notes)
    return _PAGE.format(table=text.to_html(escape=False, border=0) + paragraphs)


def plot_scores(scores: Scores, path: str | Path, *, std: Scores | None = None, title: str | None = None) -> None:
    """Draw the accuracy of every network on every benchmark and the mean, as points; `std` makes error bars."""
    table = score_table(scores)
    rows, networks = list(table.columns), list(table.index)
    offsets = (np.arange(len(networks)) - (len(networks) - 1) / 2) * min(0.13, 0.7 / len(networks))
    with new_figure(
        path, 6.4, 0.5 * len(rows) * max(1, len(networks) / 6) + 0.3 * len(networks) ** 0.5 + 0.9
    ) as figure:
        axes = figure.subplots()
        for index, network in enumerate(networks):
            errors = [(std or {}).get(network, {}).get(row, np.nan) for row in rows]
            axes.errorbar(
                table.loc[network],
                np.arange(len(rows)) + offsets[index],
                xerr=errors if std else None,
                label=network,
                color=line_style(index)["color"],
                marker=MARKERS[index % len(MARKERS)],
                markersize=5,
                linestyle="none",
                elinewidth=1,
            )
        for boundary in range(1, len(rows)):
            axes.axhline(boundary - 0.5, color="#e4e4e4", linewidth=0.6)
        axes.axhspan(len(rows) - 1.5, len(rows) - 0.5, color="#f4f4f4", zorder=0)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("verification accuracy")
        figure.legend(loc="outside lower center", ncols=min(4, legend_columns(networks)))
        if title:
            axes.set_title(title)


def _best(table: pd.DataFrame) -> np.ndarray:
    """Cells with the largest printed number of their column: `[rows, columns]` bool; none of a lone row."""
    rounded = table.round(4)
    return ((rounded == rounded.max()) & (len(table) > 1)).to_numpy()


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.2f}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Scores</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; color: #222; margin: 1.5em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .35em .9em; text-align: right; border-bottom: 1px solid #e4e4e4 }}
thead th {{ border-bottom: 1.5px solid #888 }}
tbody th {{ text-align: left; font-weight: normal }}
td:last-child, thead th:last-child {{ background: #f4f4f4 }}
</style></head><body>
{table}
</body></html>
"""
