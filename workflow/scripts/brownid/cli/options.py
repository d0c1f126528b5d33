"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    from brownid.generators.protocol import Generator
    from brownid.samples.collection import SampleCollection

GENERATOR, NETWORK, OUTPUT = "Generator", "Recognition network", "Output"
DEFAULT_FAMILY = "procedural"
TEMPLATES = "arcface, two_eye, ffhq or ffhq_published"

Configfiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--configfile", metavar="YAML", help="Configuration; several are merged. Default: config/config.yaml."
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--config", metavar="KEY=VALUE", help="Values over the configuration, as Snakemake's; may be repeated."
    ),
]

Family = Annotated[
    str | None,
    typer.Option(
        "--generator",
        metavar="FAMILY",
        rich_help_panel=GENERATOR,
        help=f"Generator family. Default: what the collection says it came from, else {DEFAULT_FAMILY}.",
    ),
]
Factory = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:FUNCTION",
        rich_help_panel=GENERATOR,
        help="A generator of your own, instead of a family: path.to.module:function.",
    ),
]
Side = Annotated[
    int | None, typer.Option("--side", rich_help_panel=GENERATOR, help="Side of the generator's images, in pixels.")
]
WorldSeed = Annotated[
    int | None, typer.Option(rich_help_panel=GENERATOR, help="Seed of the procedural world; another seed, other faces.")
]
GeneratorSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=GENERATOR,
        help="A further setting of the generator, such as latent_dim=256; may be repeated.",
    ),
]
GeneratorName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=GENERATOR,
        help="What the collection calls the generator, as the config does. Default: its family.",
    ),
]

Weights = Annotated[
    Path,
    typer.Option(
        "--weights",
        "-w",
        rich_help_panel=NETWORK,
        help="Weights: .safetensors of ours, .pt state dict or checkpoint, .onnx (for embedding only).",
    ),
]
NetworkFamily = Annotated[
    str | None,
    typer.Option(
        metavar="FAMILY",
        rich_help_panel=NETWORK,
        help="insightface, nizhib, adaface or slim; not for ONNX and files of ours, which say it themselves.",
    ),
]
Architecture = Annotated[
    str | None, typer.Option(rich_help_panel=NETWORK, help="Such as iresnet50 or ir_50; with --network-family.")
]
ReadsBytes = Annotated[
    bool | None,
    typer.Option(
        "--reads-bytes/--reads-signed",
        rich_help_panel=NETWORK,
        help="The network reads pixels from 0 to 255, or from -1 to 1. Default: as its family or ONNX graph says.",
    ),
]
ColourOrder = Annotated[
    str | None,
    typer.Option(
        metavar="RGB|BGR", rich_help_panel=NETWORK, help="Colours as the network reads them. Default: as its family."
    ),
]
NetworkName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=NETWORK,
        help="What the collection calls the network, as the config does. Default: the weights' file name.",
    ),
]
Precision = Annotated[
    str, typer.Option(rich_help_panel=NETWORK, help="Of the network: float32, bfloat16, or auto (what is fast here).")
]

Identities = Annotated[
    str | None, typer.Option(metavar="RANGES", help="Only these identities of the collection, such as 0-9,12.")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="LABEL", help="Only samples with this label; may be repeated.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
NotSquare = Annotated[
    str | None,
    typer.Option(metavar="HOW", help="How crops that are not square become so: pad (black), stretch or crop."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", rich_help_panel=OUTPUT, help="Replace an existing file.")]


def configuration_files(given: Sequence[Path] | None, directory: Path = Path()) -> list[Path]:
    """The files of --configfile, or the one that a run in `directory` takes without it, as absolute paths."""
    default = Path("config/config.yaml")
    if given:
        return [path.absolute() for path in given]
    for path in (directory / default, default):
        if path.is_file():
            return [path.absolute()]
    raise BrownidError(f"There is no {default} in {Path.cwd()}: name a file with --configfile, or go to the project.")


def generator_spec(
    family: str | None,
    factory: str | None,
    side: int | None,
    world_seed: int | None,
    settings: Sequence[str] | None,
    collection: SampleCollection | None = None,
) -> dict[str, Any]:
    """The description of a generator for `load_generator`: what the options say, over what the collection records.

    A collection's record is followed only where it names a family: no code is run because a data file says so.
    """
    given = {"side": side, "world_seed": world_seed, **_settings(settings or [])}
    given = {name: value for name, value in given.items() if value is not None}
    if family is not None or factory is not None:
        named = {"family": family, "factory": factory}
        return {**{name: value for name, value in named.items() if value is not None}, **given}
    recorded = collection.settings.get("generator") if collection is not None else None
    if not isinstance(recorded, Mapping):
        return {"family": DEFAULT_FAMILY, **given}
    if "factory" in recorded:
        raise BrownidError(
            f"The collection was made by the generator of {recorded['factory']!r}, and code is not run because a file "
            f"names it: say so yourself, with --factory {recorded['factory']} and its settings as --set NAME=VALUE."
        )
    return {**recorded, **given}


def generator_name(name: str | None, spec: Mapping[str, Any]) -> str:
    """The name a collection keeps of its generator: the one given, else the family or factory."""
    return name or str(spec.get("family") or spec.get("factory"))


def check_latents(generator: Generator, width: int, path: Path) -> None:
    """Refuse latents of another width than the generator's."""
    if width != generator.latent_dim:
        raise BrownidError(
            f"{path}: its latents have {width} numbers, the generator's have {generator.latent_dim}: name the "
            "generator that they belong to (--generator, --factory, --set latent_dim=...)."
        )


def selected(
    collection: SampleCollection, path: Path, identities: str | None, labels: Sequence[str] | None
) -> SampleCollection:
    """The samples of a collection with these identities and labels; all where None."""
    import numpy as np

    try:
        if identities is not None:
            collection = collection.select(identity_numbers(identities))
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None
    if labels:
        missing = set(labels) - set(collection.labels)
        if missing:
            known = ", ".join(sorted(set(collection.labels))[:5])
            raise BrownidError(f"{path}: no sample has the label {sorted(missing)[0]!r}; there are {known} …")
        collection = collection.rows(np.flatnonzero(np.isin(collection.labels, labels)))
    return collection


def loaded(
    path: Path,
    identities: str | None,
    labels: Sequence[str] | None,
    columns: Collection[str] = ("latents", "embeddings", "extra"),
    partial: bool = False,
) -> SampleCollection:
    """The samples of a file with these identities and labels; of other identities nothing is read."""
    from brownid.samples.collection import SampleCollection

    numbers = None if identities is None else identity_numbers(identities)
    collection = SampleCollection.load(path, columns, numbers, partial=partial)
    return selected(collection, path, None, labels)


MOST_IDENTITIES = 10_000_000  # of one range: a typing error should not fill the memory


def identity_numbers(ranges: str) -> list[int]:
    """The numbers that a text such as "0-9,12" names."""
    numbers: list[int] = []
    for part in ranges.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise BrownidError(f"--identities: {part.strip()!r} is no number or range; write them as 0-9,12.")
        if int(last if dash else first) - int(first) > MOST_IDENTITIES:
            raise BrownidError(f"--identities: {part.strip()!r} names more than {MOST_IDENTITIES} identities.")
        numbers.extend(range(int(first), int(last if dash else first) + 1))
    return numbers


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE texts as settings, the values read as those of --config."""
    from brownid.configuration.loading import read_value

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise BrownidError(f"--set {pair}: a setting is written NAME=VALUE, such as latent_dim=256.")
        found[name] = read_value(f"--set {name}", value)
    return found
