"""`brownid export`: a training set in the layout that a training code reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import files, options, training_sets
from brownid.runtime.errors import BrownidError, suggestion

MEGABYTE = 10**6


def export(
    source: training_sets.Source,
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
    directory: training_sets.Directory = Path(),
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
    found = training_sets.training_set(source, training_set, directory, configfile, config, option="--set")
    with files.new_folder(output) as folder:
        LAYOUTS[to](found, folder, shard_bytes=shard_size * MEGABYTE, processes=processes)
    files.wrote(output, f"{len(found)} images of {len(found.classes)} identities as {to}")
