"""The within-class covariance of projected images: its spectrum, and faces along its first directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from brownid.figures.style import MUTED, line_style, new_figure, require

WIDTH, ROW_HEIGHT, LEAST_HEIGHT = 9.6, 0.74, 4.4  # inches
GAP = 1 / 28  # between faces, in widths of a face
MANY = 20  # directions
MARKED_SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Spectrum:
    """What is drawn of one within-class covariance."""

    eigenvalues: np.ndarray  # [rank], in decreasing order, of the pooled scatter
    variances: np.ndarray  # [R], shrunk, of the leading R directions
    shrinkage: float
    faces: np.ndarray  # uint8 [r, c, S, S, 3]: of the first r directions, at c steps from the mean latent
    steps: Sequence[float]  # [c], in standard deviations along the direction


def plot_within_class(spectra: Mapping[str, Spectrum], path: str | Path, *, title: str | None = None) -> None:
    """Draw each of `spectra`, by a heading: eigenvalues, cumulated share of the variance, and rows of faces."""
    require(spectra, "within-class covariances")
    heights = [max(LEAST_HEIGHT, ROW_HEIGHT * len(each.faces) + 0.6) for each in spectra.values()]
    with new_figure(path, WIDTH, sum(heights) + 0.4) as figure:
        blocks = figure.subfigures(len(spectra), 1, height_ratios=heights, squeeze=False)[:, 0]
        for block, (heading, spectrum) in zip(blocks, spectra.items(), strict=True):
            _draw(block, spectrum)
            if len(spectra) > 1:
                block.suptitle(heading, fontsize=10)
        if title:
            figure.suptitle(title)


def _draw(block: SubFigure, spectrum: Spectrum) -> None:
    grid = block.add_gridspec(2, 2, width_ratios=(1, 1.12))
    _draw_eigenvalues(block.add_subplot(grid[0, 0]), spectrum)
    _draw_shares(block.add_subplot(grid[1, 0]), spectrum.eigenvalues)
    _draw_faces(block.add_subplot(grid[:, 1]), spectrum)


def _draw_eigenvalues(axes: Axes, spectrum: Spectrum) -> None:
    lines = {
        "pooled scatter": spectrum.eigenvalues,
        f"shrunk (OAS, weight {spectrum.shrinkage:.3g})": spectrum.variances,
    }
    for index, (label, values) in enumerate(lines.items()):
        marker = "o" if len(values) == 1 else None  # a line needs two
        axes.plot(np.arange(1, len(values) + 1), values, label=label, marker=marker, **line_style(index))
    _number_directions(axes, len(spectrum.eigenvalues))
    axes.set_yscale("log")
    axes.set_title("Eigenvalues")
    axes.set_xlabel("direction")
    axes.set_ylabel("variance, latent units²")
    axes.legend()


def _draw_shares(axes: Axes, eigenvalues: np.ndarray) -> None:
    shares = np.cumsum(eigenvalues) / eigenvalues.sum()
    numbers = np.arange(1, len(shares) + 1)
    axes.step(numbers, shares, where="mid", **line_style(0))
    for share in MARKED_SHARES:
        needed = int(np.searchsorted(shares, share * (1 - 1e-12))) + 1
        axes.plot([needed], [shares[needed - 1]], "o", color=MUTED, markersize=3.5)
        label, place = f"{share:.0%} in {needed}", (needed, shares[needed - 1])
        axes.annotate(label, place, xytext=(4, -10), textcoords="offset points", fontsize=7.5, color=MUTED)
    _number_directions(axes, len(shares))
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title("Share of the variance in the leading directions")
    axes.set_xlabel("number of directions")


def _number_directions(axes: Axes, count: int) -> None:
    """Make the axis that numbers the directions logarithmic where there are many."""
    if count > MANY:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_faces(axes: Axes, spectrum: Spectrum) -> None:
    rows, columns, side = spectrum.faces.shape[:3]
    step = side + max(1, round(GAP * side))
    sheet = np.full((rows * step, columns * step, 3), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * step, column * step
            sheet[top : top + side, left : left + side] = spectrum.faces[row, column]
    axes.imshow(sheet, interpolation="antialiased")
    total = spectrum.eigenvalues.sum()
    labels = [f"{row + 1}\n{spectrum.eigenvalues[row] / total:.1%}" for row in range(rows)]
    axes.set_yticks([row * step + side / 2 for row in range(rows)], labels)
    axes.set_xticks([column * step + side / 2 for column in range(columns)], [_step(each) for each in spectrum.steps])
    axes.tick_params(length=0, labelsize=7.5)
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("First directions, from the mean latent", pad=18)
    axes.set_ylabel("direction, share of the variance")


def _step(deviations: float) -> str:
    return "mean" if deviations == 0 else f"{deviations:+g} σ".replace("-", "−")
