"""The training sets that commands take: by their entry in a configuration, or as a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import options
from brownid.runtime.errors import BrownidError, listed, suggestion

if TYPE_CHECKING:
    from brownid.exports.training_set import TrainingSet

RUN = "Source: a run"

Source = Annotated[
    str,
    typer.Argument(
        metavar="DATASET|FOLDER",
        help="An entry of the configuration (variations, references, training, release.training_sets), a release "
        "or its folder of Parquet files, a folder of image shards, or a folder with one folder per person.",
    ),
]
Choice = Annotated[
    str | None, typer.Option("--training-set", metavar="NAME", help="The training set of a release that has several.")
]
Directory = Annotated[
    Path, typer.Option(metavar="FOLDER", rich_help_panel=RUN, help="The folder that holds results/ of the run.")
]


def training_set(
    source: str,
    name: str | None,
    directory: Path,
    configfile: Sequence[Path] | None,
    config: Sequence[str] | None,
    option: str = "--training-set",
) -> TrainingSet:
    """The training set that `source` names; `name`, the value of `option`, chooses one of several in a release."""
    path = Path(source)
    if path.is_dir():
        return _in_folder(path, name, option)
    if name is not None:
        raise BrownidError(f"{option} {name} chooses a training set of a release, but {source} is no folder.")
    if path.is_file():
        raise BrownidError(f"{source} is a file: name the folder that holds the images of a dataset.")
    return _of_run(source, directory, options.configuration_files(configfile, directory), config or ())


def _in_folder(folder: Path, name: str | None, option: str) -> TrainingSet:
    """The training set of a release, of Parquet files, of image shards, or of people."""
    from brownid.exports.joining import JoinedTrainingSet, Part
    from brownid.exports.people import FolderTrainingSet
    from brownid.exports.released import ParquetTrainingSet
    from brownid.release.metadata import METADATA, read_metadata

    if (folder / METADATA).is_file():
        sets = {each.name: each for each in read_metadata(folder).training_sets if "parquet" in each.layouts}
        if not sets:
            raise BrownidError(f"{folder}: this release has no training set as Parquet, from which others are made.")
        if name is None and len(sets) > 1:
            raise BrownidError(
                f"{folder}: this release has the training sets {listed(list(sets))}: choose one by {option}."
            )
        name = name or next(iter(sets))
        if name not in sets:
            raise BrownidError(f"{folder}: this release has no training set {name!r}; {suggestion(name, sets)}")
        return ParquetTrainingSet(folder / sets[name].folder("parquet"))
    if name is not None:
        raise BrownidError(f"{option} {name} chooses a training set of a release, but {folder} has no {METADATA}.")
    if any(folder.glob("*.parquet")):
        return ParquetTrainingSet(folder)
    shards = sorted(folder.glob("*.arrow"))
    if shards:
        return JoinedTrainingSet(folder.resolve().name, [Part(folder.resolve().name, tuple(shards))])
    return FolderTrainingSet(folder)


def _of_run(name: str, directory: Path, configfiles: Sequence[Path], values: Sequence[str]) -> TrainingSet:
    """The training set that a configuration calls `name`, from the results in `directory`."""
    from brownid.configuration.datasets import original
    from brownid.configuration.loading import load_configuration, merged
    from brownid.configuration.paths import training_parts
    from brownid.exports.joining import JoinedTrainingSet, Part

    config = load_configuration(merged(configfiles, values), files=False)
    parts = [
        Part(
            part["name"],
            tuple(directory / path for path in part["images"]),
            None if original(config, part["name"]) in config["databases"] else directory / part["samples"],
        )
        for part in training_parts(config, _datasets(config, name))
    ]
    missing = [path for part in parts for path in part.images if not path.is_file()]
    if missing:
        raise BrownidError(
            f"{missing[0]}: the images of {name} are not there: run the workflow first, or name the folder that holds "
            "its results by --directory."
        )
    return JoinedTrainingSet(name, parts)


def _datasets(config: Mapping[str, Any], name: str) -> list[str]:
    """The datasets that are joined to the training set `name`."""
    from brownid.configuration.datasets import DATASETS, namespace
    from brownid.configuration.release import training_sets

    sets = training_sets(config) if config["release"] else {}
    sets |= {name: entry["datasets"] for name, entry in config["training"].items() if name not in sets}
    if name in sets:
        return list(sets[name])
    known = [entry for section in DATASETS for entry in config[section]]
    if name not in known:
        raise BrownidError(
            f"{name}: there is no folder of this name, and no dataset or training set: "
            f"{suggestion(name, [*sets, *known])}"
        )
    return [namespace(config, name), name] if name in config["variations"] else [name]
