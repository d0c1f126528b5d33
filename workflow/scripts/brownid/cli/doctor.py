"""`brownid doctor`: what a run needs and does not find, all at once, before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import options

if TYPE_CHECKING:
    from brownid.planning.resources import Finding

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
    device: Annotated[
        bool,
        typer.Option(
            "--device",
            help="Examine the GPU of this machine instead (a minute): small runs against the CPU, timings, NCCL.",
        ),
    ] = False,
    timings: Annotated[
        Path,
        typer.Option(
            metavar="YAML", help="With --device: where the timings are written, for brownid estimate --device."
        ),
    ] = Path("device.yaml"),
) -> None:
    """Report everything a configuration needs but does not find, and how to fix it; exit status 1 if something blocks.

    Looked at: the configuration, the files and databases that it names (there,
    undamaged, licence, images and identities), packages, GPU, memory and disk
    for the configured sizes. With --device: whether the GPU of this machine
    computes what the CPU computes, its speed, and what is wrong with it.

    Example:
    brownid doctor --configfile config/paper.yaml --gpu-memory 24
    """
    if device:
        from brownid.planning.device import examine_device

        _show(examine_device(timings, configfile or (), config or ()), "this device")
        return
    from brownid.planning.doctor import examine

    names = options.configuration_files(configfile, directory)
    directory.mkdir(parents=True, exist_ok=True)  # as Snakemake does
    with chdir(directory):
        report = examine(names, config or (), gpu_memory=gpu_memory, free_disk=free_disk, quick=quick)
    _show(report, "this run")


def _show(report: Iterable[Finding], what: str) -> None:
    """Print findings as they come, and end with exit status 1 where one blocks."""
    topic, blocking = None, 0
    for finding in report:
        if finding.topic != topic:
            typer.echo(f"\n{finding.topic}" if topic else finding.topic)
            topic = finding.topic
        typer.echo(f"  {MARKS[finding.level]} {finding.what}")
        if finding.remedy:
            typer.echo(f"      {finding.remedy}")
        blocking += finding.level == "blocks"
    if blocking:
        typer.echo(f"\n{blocking} {'thing blocks' if blocking == 1 else 'things block'} {what}.")
        raise typer.Exit(1)
    typer.echo(f"\nNothing blocks {what}.")
