"""`brownid export`: a training set in the layout that a training code reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import files, options
from brownid.runtime.errors import BrownidError, listed, suggestion

if TYPE_CHECKING:
    from brownid.exports.training_set import TrainingSet

MEGABYTE = 10**6
RUN = "Source: a run"


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATASET|FOLDER",
            help="An entry of the configuration (variations, references, training, release.training_sets), a release "
            "or its folder of Parquet files, or a folder with one folder per person.",
        ),
    ],
    to: Annotated[str, typer.Option(metavar="LAYOUT", help="parquet, recordio, webdataset or lmdb.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="The folder to write."),
    ],
    training_set: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="The training set of a release that has several.")
    ] = None,
    shard_size: Annotated[
        int,
        typer.Option(metavar="MB", min=1, rich_help_panel=options.OUTPUT, help="Largest Parquet file or tar shard."),
    ] = 384,
    processes: Annotated[
        int,
        typer.Option(metavar="N", min=1, rich_help_panel=options.OUTPUT, help="Processes that write shards."),
    ] = 1,
    directory: Annotated[
        Path, typer.Option(metavar="FOLDER", rich_help_panel=RUN, help="The folder that holds results/ of the run.")
    ] = Path(),
    configfile: options.Configfiles = None,
    config: options.Values = None,
) -> None:
    """Write a training set as Parquet, train.rec, tar shards or LMDB.

    Variations are joined with their references, and each identity gets a class,
    0 to n - 1. Images are copied as they are, none is decoded. The folder
    appears when it is complete; one that holds something is left alone.

    recordio: train.rec, train.idx, property, as insightface has them
    webdataset: train-00000.tar, …, shuffled, for streaming
    lmdb: train.lmdb, as HSFace and VFace are published
    parquet: for load_dataset, with latents and embeddings

    Examples:
    brownid export my_variations --to recordio -o faces
    brownid export my_release --set my_variations --to webdataset -o shards
    brownid export my_people --to lmdb -o faces
    """
    from brownid.exports.layouts import LAYOUTS

    if to not in LAYOUTS:
        raise BrownidError(f"--to {to}: there is no such layout; {suggestion(to, LAYOUTS)}")
    files.check_new_folder(output)
    path = Path(source)
    if path.is_dir():
        found = _in_folder(path, training_set)
    elif training_set is not None:
        raise BrownidError(f"--set {training_set} chooses a training set of a release, but {source} is no folder.")
    else:
        found = _of_run(source, directory, options.configuration_files(configfile, directory), config or ())
    with files.new_folder(output) as folder:
        LAYOUTS[to](found, folder, shard_bytes=shard_size * MEGABYTE, processes=processes)
    files.wrote(output, f"{len(found)} images of {len(found.classes)} identities as {to}")


def _in_folder(folder: Path, name: str | None) -> TrainingSet:
    """The training set of a release, of Parquet files, or of people."""
    from brownid.exports.people import FolderTrainingSet
    from brownid.exports.released import ParquetTrainingSet
    from brownid.release.metadata import METADATA, read_metadata

    if (folder / METADATA).is_file():
        sets = {each.name: each for each in read_metadata(folder).training_sets if "parquet" in each.layouts}
        if not sets:
            raise BrownidError(f"{folder}: this release has no training set as Parquet, from which others are made.")
        if name is None and len(sets) > 1:
            raise BrownidError(
                f"{folder}: this release has the training sets {listed(list(sets))}: choose one by --set."
            )
        name = name or next(iter(sets))
        if name not in sets:
            raise BrownidError(f"{folder}: this release has no training set {name!r}; {suggestion(name, sets)}")
        return ParquetTrainingSet(folder / sets[name].folder("parquet"))
    if name is not None:
        raise BrownidError(f"--set {name} chooses a training set of a release, but {folder} has no {METADATA}.")
    if any(folder.glob("*.parquet")):
        return ParquetTrainingSet(folder)
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
