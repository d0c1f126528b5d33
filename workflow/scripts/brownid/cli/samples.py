"""`brownid samples`: look into collections, convert them, join them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files, options, settings
from brownid.cli.plots import angle_lines
from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    import numpy as np

    from brownid.samples.collection import SampleCollection
    from brownid.samples.columnar import Storage

app = typer.Typer(
    cls=settings.Group,
    name="samples",
    no_args_is_help=True,
    help="Inspect, convert and merge collections.",
    rich_markup_mode="rich",
)

FEW_SAMPLES = 5000  # whose angles are computed unasked, in about a second
SHOWN_LABELS = 6
FORMATS = ("columns", "published")
STORAGE = "Storage (columns format)"

Collection = Annotated[Path, typer.Argument(metavar="SAMPLES", help="A collection (.h5), ours or published.")]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="TYPE",
        rich_help_panel=STORAGE,
        help="float16 halves the file and keeps 3 digits; read as float32. Default: all digits.",
    ),
]
Compression = Annotated[
    str | None,
    typer.Option(
        "--compression",
        metavar="METHOD",
        rich_help_panel=STORAGE,
        help="gzip (smaller, slow) or lzf; without loss. Default: none.",
    ),
]


@app.command(cls=settings.Command)
def info(
    path: Collection,
    angles: Annotated[
        bool | None,
        typer.Option("--angles/--no-angles", help=f"Angles between embeddings. Default: up to {FEW_SAMPLES} samples."),
    ] = None,
) -> None:
    """Tell what a collection holds: counts, dimensions, storage, labels, angles.

    Reads every number once, so that a damaged file is noticed.

    Example:
    brownid samples info samples.h5
    """
    from brownid.samples.collection import SampleCollection

    summary = _Summary()
    for block in SampleCollection.blocks(path, partial=True):
        summary.add(block)
    typer.echo(f"{path} ({_format_of(path)}, {files.size_text(path.stat().st_size)})")
    for name, value in summary.facts(path):
        typer.echo(f"  {name + ':':<12} {value}")
    there = summary.columns.get("embeddings")
    if there is None or not (summary.samples <= FEW_SAMPLES if angles is None else angles):
        return
    from brownid.embeddings.distances import distance_distributions
    from brownid.samples.checks import absent_rows

    found = SampleCollection.load(path, columns=("embeddings",), partial=True)
    embedded = found.rows((~absent_rows(found.columns()["embeddings"])).nonzero()[0])
    for line in angle_lines(distance_distributions(embedded.columns()["embeddings"], embedded.identities)):
        typer.echo(f"  {line}")


@app.command(cls=settings.Command)
def convert(
    path: Collection,
    output: options.Output,
    to: Annotated[
        str, typer.Option(metavar="FORMAT", help="columns (ours, fast) or published (one group per sample).")
    ],
    identities: options.Identities = None,
    label: options.Labels = None,
    precision: Precision = None,
    compression: Compression = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a collection, or a part of it, in our format or the published one.

    Nothing is lost between the formats but, in the published one, the settings and columns that it does not know.

    Examples:
    brownid samples convert published.h5 --to columns -o samples.h5
    brownid samples convert samples.h5 --to columns --precision float16 -o small.h5
    brownid samples convert samples.h5 --to published --identities 0-9 -o ten.h5
    """
    from brownid.samples.collection import merge as join

    if to not in FORMATS:
        raise BrownidError(f"--to {to}: there is no such format; choose {' or '.join(FORMATS)}.")
    storage = _storage(precision, compression)
    if to == "published" and (precision or compression):
        raise BrownidError("--precision and --compression belong to --to columns; the published format has neither.")
    files.check_new_file(output, overwrite)
    if to == "columns" and identities is None and not label:
        join([path], output, complete=False, storage=storage)  # block by block, whatever the size
        files.wrote(output, f"{_count(output)} samples")
        return
    collection = options.loaded(path, identities, label, partial=True)
    if to == "published":
        known = collection.publishable()
        for name in sorted(collection.extra.keys() - known.extra.keys()):
            typer.echo(f"left out: the column {name}, for which the published format has no place")
        known.save_published(output)
    else:
        collection.save(output, precision=precision, compression=compression)
    files.wrote(output, f"{len(collection)} samples")


@app.command(cls=settings.Command)
def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="SAMPLES", help="Collections, in their new order.")],
    output: options.Output,
    any_settings: Annotated[
        bool, typer.Option("--any-settings", help="Join collections made with different settings; keep none of them.")
    ] = False,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Let identities lack labels that other identities have.")
    ] = False,
    precision: Precision = None,
    compression: Compression = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Join collections into one, after checking that they belong together.

    They must be of one generator, network and settings; no sample may be in two,
    and every identity must have the same labels. Needs little memory at any size.

    Examples:
    brownid samples merge shard-1.h5 shard-2.h5 -o variations.h5
    brownid samples merge references.h5 variations.h5 --any-settings -o all.h5
    """
    from brownid.samples.collection import merge as join

    storage = _storage(precision, compression)
    files.check_new_file(output, overwrite)
    join(paths, output, any_settings=any_settings, complete=not incomplete, storage=storage)
    files.wrote(output, f"{_count(output)} samples")


def _storage(precision: str | None, compression: str | None) -> Storage:
    from brownid.samples.columnar import Storage

    return Storage(precision, compression)


def _count(path: Path) -> int:
    from brownid.samples.collection import SampleCollection

    return len(SampleCollection.load(path, columns=()))


def _format_of(path: Path) -> str:
    return f"{'columns' if _is_ours(path) else 'published'} format"


def _is_ours(path: Path) -> bool:
    from brownid.samples import hdf5
    from brownid.samples.columnar import MAGIC

    with hdf5.reading(path) as file:
        return hdf5.attribute(file, "magic") == MAGIC


class _Summary:
    """Summary printed by `info`, collected from the blocks of a file."""

    def __init__(self) -> None:
        self.samples = 0
        self.columns: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._absent: Counter[str] = Counter()
        self._identities: Counter[int] = Counter()
        self._labels: Counter[str] = Counter()
        self._names = ("", "")

    def add(self, block: SampleCollection) -> None:
        """Count the samples of a block."""
        from brownid.samples.checks import absent_rows

        self.samples += len(block)
        self._names = (block.generator, block.recognition)
        self._identities.update(block.identities.tolist())
        self._labels.update(block.labels)
        for name, values in block.columns().items():
            self.columns[name] = (values.shape[1:], values.dtype)
            self._absent[name] += int(absent_rows(values).sum())

    def facts(self, path: Path) -> list[tuple[str, str]]:
        """Names and values."""
        from brownid.samples import columnar

        counts = set(self._identities.values())
        per_identity = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts, default=0)}"
        shown = ", ".join(f"{label} ({count})" for label, count in list(self._labels.items())[:SHOWN_LABELS])
        more = f", … ({len(self._labels)} in all)" if len(self._labels) > SHOWN_LABELS else ""
        facts = [
            ("samples", str(self.samples)),
            ("identities", f"{len(self._identities)} (samples of each: {per_identity})"),
            ("generator", self._names[0] or "not named"),
            ("network", self._names[1] or "not named"),
            ("labels", shown + more or "none"),
        ]
        held = columnar.stored(path) if _is_ours(path) else {}
        for name, (shape, dtype) in self.columns.items():
            words = [" x ".join(map(str, (self.samples, *shape))), str(dtype)]
            if name in held:
                on_disk, compression, size = held[name]
                words += [f"stored as {on_disk}"] if on_disk != str(dtype) else []
                words += [f"{compression or 'not compressed'} ({files.size_text(size)})"]
            if self._absent[name]:
                words.append(f"absent from {self._absent[name]} samples")
            facts.append((name, ", ".join(words)))
        absent = [name for name in ("latents", "embeddings") if name not in self.columns]
        return facts + [(name, "none") for name in absent]
