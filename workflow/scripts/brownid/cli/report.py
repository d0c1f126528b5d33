"""`brownid report`: the results of a run as one page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import files, options
from brownid.planning.summary import REPORT, summary
from brownid.runtime.errors import BrownidError

DEFAULT = Path(REPORT)


def report(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="HTML|ZIP", rich_help_panel=options.OUTPUT, help="The page, or an archive of it."
        ),
    ] = DEFAULT,
    directory: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder that holds results/. Default: this folder.")
    ] = Path(),
    configfile: options.Configfiles = None,
    config: options.Values = None,
) -> None:
    """Write the report of a run: figures, tables, settings, runtimes, in one file.

    All results of the configuration must be there; nothing is made. A relative
    path of the page is in the folder that holds results/, and a page that is
    there already is replaced.

    Examples:
    brownid report
    brownid report --directory runs/first --configfile my.yaml -o report.zip
    """
    from brownid.upgrade.workflow import PROJECT

    if output.suffix not in (".html", ".zip"):
        raise BrownidError(f"{output}: the report is a page or an archive of one: end its name with .html or .zip.")
    if not (PROJECT / "Snakefile").is_file():
        raise BrownidError(f"There is no Snakefile in {PROJECT}: install brownid from a clone (pip install -e).")
    if not (directory / "results").is_dir():
        raise BrownidError(
            f"{directory.absolute()}: there is no folder results/ here: run the workflow first, or name the folder "
            "that holds it by --directory."
        )
    configfiles = options.configuration_files(configfile, directory)
    command = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", directory]
    command += ["--cores", "1", "--quiet", "--report", output, "--configfile", *configfiles]
    command += ["--config", *config] if config else []
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise BrownidError(f"Snakemake wrote no report: {lines[-1] if lines else f'exit status {done.returncode}'}")
    typer.echo(summary(directory))
    if output != DEFAULT:  # which the summary names
        files.wrote(directory / output)
