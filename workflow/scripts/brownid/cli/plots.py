"""`brownid plot`: figures of run statistics and of angles between embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files, options, settings
from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    from brownid.embeddings.distances import AngleDistribution
    from brownid.samples.collection import SampleCollection

app = typer.Typer(
    cls=settings.Group,
    name="plot",
    no_args_is_help=True,
    help="Draw statistics of a run, or histograms of angles.",
    rich_markup_mode="rich",
)

IMPOSTOR_ROWS = 20_000  # more are sampled: the histogram would not change

Figure = Annotated[
    Path, typer.Option("--output", "-o", metavar="PNG", rich_help_panel=options.OUTPUT, help="The figure to write.")
]
Title = Annotated[str | None, typer.Option(metavar="TEXT", help="A line above the figure.")]


@app.command(cls=settings.Command)
def statistics(
    path: Annotated[Path, typer.Argument(metavar="STATS", help="A stats.h5 of references or variations.")],
    output: Figure,
    title: Title = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw what a run measured over its iterations: angles, forces, energy.

    Example:
    brownid plot statistics stats.h5 -o dynamics.png
    """
    from brownid.figures.dynamics import plot_statistics
    from brownid.samples.statistics import load_statistics

    files.check_new_file(output, overwrite)
    plot_statistics(load_statistics(path), output, title=title)
    files.wrote(output)


@app.command(cls=settings.Command)
def distances(
    samples: Annotated[
        list[Path], typer.Argument(metavar="SAMPLES", help="Collections with embeddings, references first.")
    ],
    output: Figure,
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="H5", help="Embeddings of the generator's training set, to see how close references come."
        ),
    ] = None,
    title: Title = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw the angles within identities, between them, and to nearest neighbours.

    Nearest neighbours are between the first sample of each identity.

    Examples:
    brownid plot distances references.h5 variations.h5 -o distances.png
    brownid plot distances references.h5 --training ffhq.h5 -o leaks.png
    """
    from brownid.embeddings.distances import BIN_EDGES, distance_distributions
    from brownid.figures.dynamics import plot_angles
    from brownid.samples.collection import SampleCollection

    files.check_new_file(output, overwrite)
    both = SampleCollection.concatenate(_embeddings(path) for path in samples)
    embeddings = both.columns()["embeddings"]
    guarded = None if training is None else _embeddings(training).embeddings
    if guarded is not None and guarded.shape[1] != embeddings.shape[1]:
        raise BrownidError(
            f"{training}: its embeddings have {guarded.shape[1]} numbers, the others {embeddings.shape[1]}: "
            "angles are only between embeddings of one network."
        )
    found = distance_distributions(embeddings, both.identities, guarded, maximum_rows=IMPOSTOR_ROWS)
    plot_angles({name: angles.histogram for name, angles in found.items()}, BIN_EDGES, output, title=title)
    for line in angle_lines(found):
        typer.echo(line)
    files.wrote(output)


def angle_lines(found: Mapping[str, AngleDistribution]) -> list[str]:
    """A table of angle distributions as lines of text; those without any angle are left out."""
    lines = [f"{'angles (radians)':<16} {'pairs':>10} {'minimum':>8} {'mean':>8} {'maximum':>8}"]
    for name, angles in found.items():
        if angles.count:
            figures = " ".join(f"{value:>8.3f}" for value in (angles.minimum, angles.mean, angles.maximum))
            lines.append(f"{name.replace('_', ' '):<16} {angles.count:>10} {figures}")
    return lines


def _embeddings(path: Path) -> SampleCollection:
    from brownid.samples.collection import SampleCollection

    collection = SampleCollection.load(path, columns=("embeddings",))
    if collection.embeddings is None or not len(collection):
        raise BrownidError(f"{path}: there are no embeddings in this collection, so there are no angles.")
    return collection
