"""`brownid estimate`: jobs, GPU-hours, memory and disk of a run, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import options


def estimate(
    configfile: options.Configfiles = None,
    config: options.Values = None,
    machine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Whose rates: cpu (measured), rtx3090, a100, h100, h200 (derived). Default: h100."
        ),
    ] = None,
    device: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Timings that brownid doctor --device wrote, instead of the table's rates."),
    ] = None,
    gpus: Annotated[int, typer.Option(metavar="N", min=1, help="GPUs that work side by side.")] = 8,
    cores: Annotated[
        int, typer.Option(metavar="N", min=1, help="CPU cores per GPU, which encode and decode its images.")
    ] = 8,
    recorded: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="logs/benchmarks of a finished run, instead of the table's rates."),
    ] = None,
    recorded_with: Annotated[
        list[Path] | None,
        typer.Option(metavar="YAML", help="Configuration of that finished run. Default: --configfile."),
    ] = None,
) -> None:
    """Estimate the jobs, GPU-hours per stage, memory and disk of a configuration.

    Orders of magnitude, from the arithmetic of each stage, the images that cores
    encode and decode for it, and the rates of a machine; the last lines say whose.

    Example:
    brownid estimate --configfile config/paper.yaml --machine a100 --gpus 4
    """
    from brownid.planning.estimate import estimate_run

    for line in estimate_run(
        options.configuration_files(configfile),
        config or (),
        machine_name=machine,
        timings=device,
        gpus=gpus,
        cores=cores,
        recorded_in=recorded,
        recorded_with=recorded_with,
    ):
        typer.echo(line)
