"""`brownid samples`: look into collections, convert them, join them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files, options
from brownid.cli.plots import angle_lines
from brownid.errors import BrownidError

if TYPE_CHECKING:
    from brownid.samples.collection import SampleCollection

app = typer.Typer(
    name="samples", no_args_is_help=True, help="Inspect, convert and merge collections.", rich_markup_mode="rich"
)

FEW_SAMPLES = 5000  # whose angles are computed unasked, in about a second
SHOWN_LABELS = 6
FORMATS = ("columns", "published")

Collection = Annotated[Path, typer.Argument(metavar="SAMPLES", help="A collection (.h5), ours or published.")]
Destination = Annotated[
    Path, typer.Option("--output", "-o", metavar="H5", rich_help_panel=options.OUTPUT, help="The collection to write.")
]


@app.command()
def info(
    path: Collection,
    angles: Annotated[
        bool | None,
        typer.Option("--angles/--no-angles", help=f"Angles between embeddings. Default: up to {FEW_SAMPLES} samples."),
    ] = None,
) -> None:
    """Tell what a collection holds: counts, dimensions, labels, angles.

    Example:
    brownid samples info samples.h5
    """
    from brownid.samples.collection import SampleCollection

    collection = SampleCollection.load(path)
    typer.echo(f"{path} ({_format_of(path)})")
    for name, value in _facts(collection):
        typer.echo(f"  {name + ':':<12} {value}")
    if collection.embeddings is None or not (len(collection) <= FEW_SAMPLES if angles is None else angles):
        return
    from brownid.benchmark.distances import distance_distributions

    for line in angle_lines(distance_distributions(collection.embeddings, collection.identities)):
        typer.echo(f"  {line}")


@app.command()
def convert(
    path: Collection,
    output: Destination,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="columns (ours, fast) or published (one group a sample).")],
    identities: options.Identities = None,
    label: options.Labels = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a collection, or a part of it, in our format or the published one.

    Examples:
    brownid samples convert published.h5 --to columns -o samples.h5
    brownid samples convert samples.h5 --to published --identities 0-9 -o ten.h5
    """
    from brownid.samples.collection import SampleCollection

    if to not in FORMATS:
        raise BrownidError(f"--to {to}: there is no such format; choose {' or '.join(FORMATS)}.")
    files.check_new_file(output, overwrite)
    collection = options.selected(SampleCollection.load(path), path, identities, label)
    if to == "published":
        collection.save_published(output)
    else:
        collection.save(output)
    files.wrote(output, f"{len(collection)} samples")


@app.command()
def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="SAMPLES...", help="Collections, in their new order.")],
    output: Destination,
    overwrite: options.Overwrite = False,
) -> None:
    """Join collections of one generator and network; no sample may be in two.

    Example:
    brownid samples merge references.h5 variations.h5 -o all.h5
    """
    from brownid.samples.collection import SampleCollection
    from brownid.samples.columnar import merge as join

    files.check_new_file(output, overwrite)
    join(paths, output)
    files.wrote(output, f"{len(SampleCollection.load(output, columns=()))} samples")


def _format_of(path: Path) -> str:
    from brownid.samples import columnar, hdf5

    with hdf5.reading(path) as file:
        ours = hdf5.attribute(file, "magic") == columnar.MAGIC
    return "columns format" if ours else "published format"


def _facts(collection: SampleCollection) -> list[tuple[str, str]]:
    """What `info` prints, name and value."""
    counts = Counter(collection.identities.tolist()).values()
    spread = f"{min(counts)} to {max(counts)}" if len(set(counts)) > 1 else f"{max(counts, default=0)}"
    labels = Counter(collection.labels)
    shown = ", ".join(f"{label} ({count})" for label, count in list(labels.items())[:SHOWN_LABELS])
    more = f", … ({len(labels)} in all)" if len(labels) > SHOWN_LABELS else ""
    facts = [
        ("samples", str(len(collection))),
        ("identities", f"{len(counts)} (samples of each: {spread})"),
        ("generator", collection.generator or "not named"),
        ("network", collection.recognition or "not named"),
        ("labels", shown + more or "none"),
    ]
    for name, values in collection.columns().items():
        facts.append((name, f"{' x '.join(map(str, values.shape))}, {values.dtype}"))
    return facts
