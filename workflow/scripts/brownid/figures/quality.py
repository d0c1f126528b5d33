"""Quality of datasets under a judge: consistency and diversity, genuine angles against genuine images, the table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from brownid.embeddings.distances import FINE_EDGES, QUANTILES
from brownid.figures.style import (
    COLOURS,
    MARKERS,
    MUTED,
    add_cosines,
    legend_columns,
    line_style,
    new_figure,
    readable,
    require,
)
from brownid.figures.tables import Table, html

GENUINE, STAR = "#222222", "*"  # colour and marker of the genuine database alone
KINDS = {"genuine": "-", "nearest_impostor": (0, (4, 1.5))}  # of angles, and how they are drawn


def plot_genuine_angles(
    angles: Mapping[str, Mapping[str, Mapping[str, Any]]], path: str | Path, *, title: str | None = None
) -> None:
    """Draw the angles of a dataset and of genuine images: `angles[source][kind]`, kind one of `KINDS`.

    Each has the figures of `AngleDistribution.as_dict` and its `counts`. The upper axis shows the cosines.
    """
    require([source for source, kinds in angles.items() if kinds["genuine"]["count"]], "genuine angles")
    drawn = {
        (source, kind): found for source, kinds in angles.items() for kind, found in kinds.items() if found["count"]
    }
    colours = {source: line_style(index)["color"] for index, source in enumerate(angles)}
    with new_figure(path, 6.4, 4.2) as figure:
        axes = figure.subplots()
        labels = [f"{source}, {readable(kind)} (median {drawn[source, kind]['q50']:.2f})" for source, kind in drawn]
        for label, ((source, kind), found) in zip(labels, drawn.items(), strict=True):
            middles, density = _density(found)
            axes.plot(middles, density, color=colours[source], linestyle=KINDS[kind], label=label)
            if kind == "genuine":
                axes.fill_between(middles, density, color=colours[source], alpha=0.12, linewidth=0)
        ends = [found[end] for found in drawn.values() for end in ("minimum", "maximum")]
        axes.set_xlim(max(0, min(ends) - 0.05), min(np.pi, max(ends) + 0.05))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("angle (radians)")
        axes.set_ylabel("density")
        add_cosines(axes, "top").set_xlabel("cosine")
        figure.legend(loc="outside lower center", ncols=legend_columns(labels))
        if title:
            figure.suptitle(title)


def _density(found: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Middles and densities of bins of a width by Freedman and Diaconis (1981), from half a degree to six."""
    fine = FINE_EDGES[1]
    width = 2 * (found["q75"] - found["q25"]) / found["count"] ** (1 / 3)
    merged = int(np.clip(round(width / fine), 10, 120))
    counts = np.asarray(found["counts"])
    counts = np.pad(counts, (0, -len(counts) % merged)).reshape(-1, merged).sum(axis=1)
    return (np.arange(len(counts)) + 0.5) * merged * fine, counts / (counts.sum() * merged * fine)


def plot_quality(table: pd.DataFrame, path: str | Path, *, genuine: str, title: str | None = None) -> None:
    """Draw the datasets of a quality table by identity consistency and diversity, each labelled at its point.

    Datasets of one image per identity have neither and are left out. The row `genuine` is marked.
    """
    points = table[["identity_consistency", "diversity"]].dropna()
    require(points, "datasets with variations")
    with new_figure(path, 6.4, 4.4) as figure:
        axes = figure.subplots()
        markers = MARKERS.replace(STAR, "")
        others = [colour for colour in COLOURS if colour != GENUINE]
        colours = [GENUINE if name == genuine else others[row % len(others)] for row, name in enumerate(points.index)]
        for row, (name, (consistency, diversity)) in enumerate(points.iterrows()):
            marker, size = (STAR, 13) if name == genuine else (markers[row % len(markers)], 6)
            axes.plot(consistency, diversity, color=colours[row], marker=marker, markersize=size, linestyle="none")
        for consistency, diversity in points[points.index == genuine].to_numpy():
            axes.axvline(consistency, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
            axes.axhline(diversity, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        axes.margins(0.12)
        axes.set_ylim(bottom=0)
        narrow = np.ptp(points["identity_consistency"]) < 0.05
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1 if narrow else 0))
        axes.set_xlabel("identity consistency (variations nearest to their own reference)")
        axes.set_ylabel("diversity (mean genuine angle, radians)")
        add_cosines(axes, "right").set_ylabel("cosine of that angle")
        labels = [f"{name} (genuine images)" if name == genuine else str(name) for name in points.index]
        _label(figure, axes, points.to_numpy(), labels, colours)
        if title:
            axes.set_title(title)


def _label(figure: Figure, axes: Axes, points: np.ndarray, labels: Sequence[str], colours: Sequence[str]) -> None:
    """Write the labels next to their points `[n, 2]`: on the side with more room, moved up where two would overlap."""
    figure.draw_without_rendering()  # the layout decides where the points are
    places = axes.transData.transform(points)
    height = 1.35 * 7.5 * figure.dpi / 72
    middle = axes.bbox.x0 + axes.bbox.width / 2
    heights = places[:, 1].copy()
    taken = {True: -np.inf, False: -np.inf}
    rising = np.argsort(heights, kind="stable")
    for row in rising:
        left = bool(places[row, 0] > middle)
        heights[row] = taken[left] = max(heights[row], taken[left] + height)
    for row in rising[::-1]:  # so that a label covers the lines to the labels above it
        x, y = places[row]
        left, above = x > middle, heights[row]
        axes.annotate(
            labels[row],
            points[row],
            xytext=((-9 if left else 9), (above - y) * 72 / figure.dpi),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=7.5,
            color=colours[row],
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            arrowprops={"arrowstyle": "-", "color": colours[row], "linewidth": 0.5} if above > y else None,
        )


HEADINGS = {  # title of a table of the page -> column of the quality table -> heading, how its numbers are written
    "Identities and variation": {
        "identities": ("identities", "{:.0f}"),
        "images": ("images", "{:.0f}"),
        "identity_consistency": ("identity consistency", "{:.1%}"),
        "diversity": ("diversity", "{:.3f}"),
        "near_duplicates": ("near-duplicates", "{:.1%}"),
    },
    "Genuine angles": {
        "genuine_mean": ("mean", "{:.3f}"),
        **{f"genuine_{name}": (f"{share:.0%}", "{:.3f}") for name, share in QUANTILES.items()},
        "wasserstein": ("Wasserstein-1 to genuine images", "{:.3f}"),
        "median_ratio": ("ratio of medians", "{:.2f}"),
    },
    "Nearest impostors and leaks": {
        "nearest_impostor_mean": ("nearest impostor, mean", "{:.3f}"),
        "nearest_impostor_q05": ("nearest impostor, 5%", "{:.3f}"),
        "leak_minimum": ("leak angle, smallest", "{:.3f}"),
        "leak_q05": ("leak angle, 5%", "{:.3f}"),
    },
}
COLUMNS = [column for columns in HEADINGS.values() for column in columns]  # of the quality table


def quality_page(table: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """The quality table as a page of its own for the report, in parts, with the definitions of its columns below.

    Columns beyond `COLUMNS` are the truth of the embedded world.
    """
    headings = dict(HEADINGS)
    truth = [column for column in table.columns if column not in COLUMNS]
    if truth:
        headings["Truth of the embedded world"] = {name: (name.replace("_", " "), "{:.2f}") for name in truth}
    tables = [_part(table, title, columns) for title, columns in headings.items()]
    notes = [text.format(**settings) for text in (*NOTES, *[TRUTH] * bool(truth))]
    return html("Quality of the datasets", tables, notes)


def _part(table: pd.DataFrame, title: str, columns: Mapping[str, tuple[str, str]]) -> Table:
    """Some columns of the quality table as text, without the datasets of which none is known."""
    known = table[list(columns)].dropna(how="all")
    rows = [
        [
            str(name),
            *("–" if pd.isna(row[column]) else form.format(row[column]) for column, (_, form) in columns.items()),
        ]
        for name, row in known.iterrows()
    ]
    return Table(["dataset", *(heading for heading, _ in columns.values())], rows, title)


NOTES = (
    "Measured on the images, with embeddings of the judge {judge}, a network that steered no dataset. A dataset of "
    "variations is measured together with its references; angles are in radians.",
    "Identity consistency: share of the variations whose nearest reference is their own (closed-set rank-1 "
    "identification rate). Genuine database {genuine}: the first image of each identity is its reference.",
    "Genuine angle: between two images of one identity. Diversity: its mean over pairs whose images are both nearest "
    "to their own reference. Near-duplicates: share of genuine pairs closer than {near_duplicate_angle}.",
    "Wasserstein-1: distance (radians) of the genuine angles from those of {genuine}; the ratio of medians is to its "
    "median. A ratio far below 1: the dataset lacks variation; far above: identity is lost.",
    "Nearest impostor: angle of each reference to its nearest other reference. Leak angle: of each reference to the "
    "nearest image of the leak guard.",
)
TRUTH = (
    "Nuisance std: standard deviation of the true nuisance parameters within an identity, by group; genuine "
    "photographs have 1. Identity drift: root mean square change of the true identity parameters against the "
    "reference; the population's standard deviation is 1."
)
