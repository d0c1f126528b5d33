"""`brownid report`: the results of a run as pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import options
from brownid.planning.summary import REPORT, summary
from brownid.runtime.errors import BrownidError

DEFAULT = Path("results/provenance.html")
RULES = ("write_report", "build_gallery")  # the only ones that run


def report(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="HTML|ZIP",
            rich_help_panel=options.OUTPUT,
            help="The page of provenance: settings, code, runtimes, all figures and tables; or an archive of it.",
        ),
    ] = DEFAULT,
    directory: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder that holds results/. Default: this folder.")
    ] = Path(),
    only_provenance: Annotated[
        bool, typer.Option("--only-provenance", help="Write the page of provenance alone, and print its path.")
    ] = False,
    configfile: options.Configfiles = None,
    config: options.Values = None,
) -> None:
    """Write the report of a run, its gallery, and a page of provenance.

    The results of the configuration must be there: no stage runs but those that
    write the pages. A relative path is in the folder that holds results/, and a
    page that is there already is replaced.

    Examples:
    brownid report
    brownid report --directory runs/first --configfile my.yaml -o provenance.zip
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
    command += ["--cores", "1", "--configfile", *configfiles, *(["--config", *config] if config else [])]
    if not only_provenance:
        _snakemake([*command, "--allowed-rules", *RULES, "--", REPORT])
    _snakemake([*command, "--report", output])
    if not only_provenance:
        typer.echo(summary(directory))
    typer.echo(str(directory / output))


def _snakemake(command: Sequence[object]) -> None:
    """Run Snakemake in silence; BrownidError with what it says last where it fails."""
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        last = " ".join(lines[-3:]) if lines else f"exit status {done.returncode}"
        raise BrownidError(f"Snakemake wrote no report: {last}")
