"""`brownid doctor`: what a run needs and does not find, all at once, before it starts."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import options

MARKS = {"blocks": "✗", "note": "!", "fine": "✓"}


def doctor(
    configfile: options.Configfiles = None,
    config: options.Values = None,
    directory: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Working directory of the run, made where missing. Default: this folder.",
        ),
    ] = Path(),
    gpu_memory: Annotated[
        float | None,
        typer.Option(metavar="GIB", min=0.1, help="Memory of the GPUs that jobs will get. Default: that of this one."),
    ] = None,
    free_disk: Annotated[
        float | None,
        typer.Option(metavar="GIB", min=0.0, help="Room for results. Default: what is free below the working folder."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Do not read whole files to compare checksums, nor count the images of databases."
        ),
    ] = False,
) -> None:
    """Report everything a configuration needs but does not find, and how to fix it; exit status 1 if something blocks.

    Looked at: the configuration, the files and databases that it names (there,
    undamaged, licence, images and identities), packages, GPU, memory and disk
    for the configured sizes.

    Example:
    brownid doctor --configfile config/paper.yaml --gpu-memory 24
    """
    from brownid.planning.doctor import examine

    names = options.configuration_files(configfile, directory)
    directory.mkdir(parents=True, exist_ok=True)  # as Snakemake does
    with chdir(directory):
        report = examine(names, config or (), gpu_memory=gpu_memory, free_disk=free_disk, quick=quick)
    topic = None
    for finding in report:
        if finding.topic != topic:
            topic = finding.topic
            typer.echo(f"\n{topic}" if finding is not report[0] else topic)
        typer.echo(f"  {MARKS[finding.level]} {finding.what}")
        if finding.remedy:
            typer.echo(f"      {finding.remedy}")
    blocking = sum(finding.level == "blocks" for finding in report)
    if blocking:
        typer.echo(f"\n{blocking} {'thing blocks' if blocking == 1 else 'things block'} this run.")
        raise typer.Exit(1)
    typer.echo("\nNothing blocks this run.")
