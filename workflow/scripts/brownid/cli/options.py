"""Options that several commands share, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import settings
from brownid.runtime.errors import BrownidError, listed

if TYPE_CHECKING:
    import numpy as np

    from brownid.generators.protocol import Generator as ImageGenerator
    from brownid.samples.collection import SampleCollection

GENERATOR, NETWORK, OUTPUT = "Generator", "Recognition network", "Output"
DEFAULT_FAMILY = "procedural"
TEMPLATES = "arcface, two_eye, ffhq or ffhq_published"
FACTORY = re.compile(r"\w+(\.\w+)*:\w+")

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

GeneratorChoice = Annotated[
    str | None,
    typer.Option(
        "--generator",
        metavar="FAMILY|FILE|MODULE:FUNCTION",
        rich_help_panel=GENERATOR,
        help="A family, a file or folder of weights, whose family is found, or a function of your own. Default: what "
        f"the collection says it came from, else {DEFAULT_FAMILY}. Its settings: --set generator.NAME=VALUE.",
    ),
]
Weights = Annotated[
    Path,
    typer.Option(
        "--weights",
        "-w",
        metavar="FILE",
        rich_help_panel=NETWORK,
        help="Weights: .safetensors of ours, .pt state dict or checkpoint, .onnx (for embedding only). What the "
        "file does not say: --set network.family=..., network.architecture=...",
    ),
]

Identities = Annotated[
    str | None, typer.Option(metavar="RANGES", help="Only these identities of the collection, such as 0-9,12.")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="LABEL", help="Only samples with this label; may be repeated.")
]
Seed = Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Seed of the random numbers.")]
NotSquare = Annotated[
    str | None,
    typer.Option(metavar="HOW", help="How crops that are not square become so: pad (black), stretch or crop."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", rich_help_panel=OUTPUT, help="Replace an existing file.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="H5", rich_help_panel=OUTPUT, help="The collection to write.")
]
OptionalOutput = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="H5", rich_help_panel=OUTPUT, help="The collection to write.")
]
BatchSize = Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Images at a time; never changes results.")]


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
    named: str | None, given: Mapping[str, Any], collection: SampleCollection | None = None
) -> dict[str, Any]:
    """The description of a generator for `load_generator`: what --generator and --set say, over what a collection says.

    A collection's record is followed only where it names a family: no code is run because a data file says so.
    """
    given = {name: value for name, value in given.items() if name != "name"}
    recorded = collection.settings.get("generator") if collection is not None else None
    if named is not None:
        spec = _named_generator(named)
    elif not isinstance(recorded, Mapping):
        spec = {"family": DEFAULT_FAMILY}
    elif "factory" in recorded:
        raise BrownidError(
            f"The collection was made by the generator of {recorded['factory']!r}, and code is not run because a file "
            f"names it: say so yourself, with --generator {recorded['factory']} and its settings as --set "
            "generator.NAME=VALUE."
        )
    else:
        spec = dict(recorded)
    if spec.get("family") in settings.generator_families():
        known = settings.generator(spec["family"])
        for name in given:
            if name not in known:
                names = [f"generator.{each}" for each in known]
                said = settings.unknown(f"generator.{name}", names)
                raise BrownidError(f"--set generator.{name} (family {spec['family']}): {said}")
    return spec | given


def _named_generator(text: str) -> dict[str, Any]:
    """What --generator says: a family, a file or folder with weights, whose content says the family, or a function."""
    path = Path(text)
    if text in settings.generator_families():
        return {"family": text}
    if path.is_dir():
        return {"family": "arc2face" if (path / "arc2face").is_dir() else "ldm", "folder": text}
    if path.is_file():
        from brownid.weights.generator_files import read_generator_file

        return {"family": read_generator_file(path).family, "file": text}
    if FACTORY.fullmatch(text):
        return {"factory": text}
    if path.suffix or len(path.parts) > 1:
        raise BrownidError(f"{text}: there is no such file or folder with the weights of a generator.")
    return {"family": text}


def network_spec(given: Mapping[str, Any]) -> dict[str, Any]:
    """The description of an FR network as in the configuration: what --set says, over the defaults of the schema."""
    stated = {name: rules.get("default") for name, rules in settings.network().items() if name != "name"}
    return stated | {name: value for name, value in given.items() if name != "name"}


def generator_name(given: Mapping[str, Any], spec: Mapping[str, Any], otherwise: str = "") -> str:
    """The name a collection keeps of its generator: the one given, else `otherwise`, else the family or factory."""
    return given.get("name") or otherwise or str(spec.get("family") or spec.get("factory"))


def check_latents(generator: ImageGenerator, latents: np.ndarray, path: Path) -> None:
    """Refuse latents `[n, D]`, or `[n, L, D]` of W+, of another size than the generator's."""
    width, layers = latents.shape[-1], getattr(generator, "layers", 1)
    if latents.ndim == 3 and latents.shape[1] != layers:
        raise BrownidError(
            f"{path}: its latents are of {latents.shape[1]} layers, the generator has {layers}: name the generator "
            "that they belong to (--generator)."
        )
    if width != generator.latent_dim:
        raise BrownidError(
            f"{path}: its latents have {width} numbers, the generator's have {generator.latent_dim}: name the "
            "generator that they belong to (--generator, --set generator.latent_dim=...)."
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
            known = listed(sorted(set(collection.labels)))
            raise BrownidError(f"{path}: no sample has the label {sorted(missing)[0]!r}; there are {known}.")
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
