"""`brownid pack`: embeddings moved apart on the hypersphere, near those of faces (HyperFace)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import files, options, settings
from brownid.hyperface.settings import PackingSettings
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import default_device

if TYPE_CHECKING:
    import numpy as np

    from brownid.samples.collection import SampleCollection

RECORDS = 100  # values of each statistic over a packing
# Fewer iterations than published, for a few hundred embeddings.
DEFAULTS: dict[str, Any] = {"iterations": 2000, "decay_every": 100}
SETTINGS = {"": settings.of(PackingSettings, **DEFAULTS, record_every=f"iterations / {RECORDS}")}

Plot = Annotated[
    Path | None,
    typer.Option(metavar="PNG", rich_help_panel=options.OUTPUT, help="Curves of angles, energy, learning rate."),
]
Statistics = Annotated[
    Path | None, typer.Option(metavar="H5", rich_help_panel=options.OUTPUT, help="What the curves show, as a stats.h5.")
]
Gallery = Annotated[
    Path | None,
    typer.Option(
        metavar="H5",
        help="Embeddings of faces that attract: those labelled gallery, or all. Default: nothing attracts.",
    ),
]


def pack(
    start: Annotated[
        Path,
        typer.Argument(metavar="START", help="Embeddings to begin with: those labelled start, or all where none is."),
    ],
    output: options.Output,
    plot: Plot = None,
    statistics: Statistics = None,
    gallery: Gallery = None,
    identities: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="Pack the first N embeddings. Default: all.")
    ] = None,
    setting: settings.Given = None,
    seed: options.Seed = 1,
    overwrite: options.Overwrite = False,
) -> None:
    """Pack embeddings on the hypersphere: each far from its nearest neighbour.

    HyperFace's first half; `brownid invert` finds faces for the result. The i-th
    embedding becomes identity i. As published for 10 000 identities:
    --set iterations=100000 --set decay_every=5000, and as many faces in the gallery.

    Examples:
    brownid pack faces.h5 --gallery faces.h5 -o packed.h5 --plot curves.png
    brownid pack references.h5 --identities 100 --set iterations=500 -o packed.h5
    """
    import torch

    from brownid.figures.dynamics import plot_statistics
    from brownid.hyperface.packing import pack
    from brownid.samples.collection import REFERENCE, SampleCollection
    from brownid.samples.statistics import save_statistics

    files.check_new_files(overwrite, output, plot, statistics)
    chosen = DEFAULTS | settings.read(setting, SETTINGS)[""]
    packing = PackingSettings(**chosen)
    if "record_every" not in chosen:
        packing = replace(packing, record_every=max(1, packing.iterations // RECORDS))
    begun = _first(start, identities)
    near = None if gallery is None else faces_of(gallery, "gallery")
    if near is not None and gallery is not None:
        check_one_network({start: begun, gallery: near})
    first, others = (
        None if part is None else torch.from_numpy(part.embeddings).float().to(default_device())
        for part in (begun, near)
    )
    assert first is not None
    typer.echo(f"Packing {len(begun)} embeddings, {packing.iterations} iterations ...", err=True)
    result = pack(first, others, packing, seed=seed)
    for line in _angle_lines(result.statistics, *result.references.shape):
        typer.echo(line)
    sums = files.checksums(start=start, gallery=gallery)
    SampleCollection(
        latents=None,
        embeddings=result.references,
        identities=range(len(begun)),
        labels=[REFERENCE] * len(begun),
        generator="",
        recognition=begun.recognition,
        settings={**_origin(begun), **sums, "packing": asdict(packing), "seed": seed},
    ).save(output)
    files.wrote(output, f"{len(begun)} embeddings")
    if statistics is not None:
        save_statistics(statistics, result.statistics)
        files.wrote(statistics)
    if plot is not None:
        plot_statistics(result.statistics, plot, title=output.stem)
        files.wrote(plot)


def faces_of(path: Path, label: str, columns: Sequence[str] = ("embeddings",)) -> SampleCollection:
    """The samples of a file with this label, or all of them where none has it; each has all of these columns."""
    from brownid.hyperface.inversion import load_faces

    found = load_faces(path, label, columns=columns)
    if not len(found):
        raise BrownidError(f"{path}: there are no samples in this collection.")
    return found


def check_one_network(collections: Mapping[Path, SampleCollection]) -> None:
    """Refuse embeddings of different networks; a network without a name may be any of its width."""
    from brownid.samples.checks import current_names

    known: dict[str, tuple[object, Path]] = {}
    for path, collection in collections.items():
        width = collection.columns()["embeddings"].shape[1]
        for what, value in {"numbers": width, "network": current_names(collection.recognition) or None}.items():
            if value is None:
                continue
            first, where = known.setdefault(what, (value, path))
            if first != value:
                both = f"{first!r} in {where}, {value!r} in {path}"
                raise BrownidError(
                    f"The embeddings are of different networks ({what}: {both}), between which angles mean nothing: "
                    "make both with one network, and give it one name (brownid embed --set network.name=...)."
                )


def _first(path: Path, count: int | None) -> SampleCollection:
    """Start of a packing: the first `count` embeddings of a file, or all."""
    found = faces_of(path, "start")
    if count is not None and len(found) < count:
        raise BrownidError(
            f"{path}: {count} identities need as many embeddings to start from, and there are {len(found)}: "
            "ask for fewer --identities, or make more faces."
        )
    return found if count is None else found.rows(range(count))


def _origin(collection: SampleCollection) -> dict[str, object]:
    """The generator and network that a collection says it came from, for `brownid invert` to find faces with."""
    return {name: value for name, value in collection.settings.items() if name in ("generator", "network")}


def _angle_lines(statistics: Mapping[str, np.ndarray], count: int, dimension: int) -> list[str]:
    """A table of the angles before and after a packing, in radians."""
    from brownid.hyperface.energy import simplex_bound

    lines = [f"{'angles (radians)':<34} {'before':>8} {'after':>8}"]
    shown = {
        "nearest neighbour, smallest": "nn_min",
        "nearest neighbour, mean": "nn_avg",
        "nearest of the gallery, mean": "gallery_avg",
    }
    for words, name in shown.items():
        before, after = (float(statistics[name][record]) for record in (0, -1))
        if before == before:  # NaN without a gallery
            lines.append(f"{words:<34} {before:>8.3f} {after:>8.3f}")
    return [*lines, f"{'largest possible smallest angle':<34} {'':>8} {simplex_bound(count, dimension):>8.3f}"]
