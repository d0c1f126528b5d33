"""`brownid verify`: is a release whole and unchanged?"""

from pathlib import Path
from typing import Annotated

import typer


def verify(path: Annotated[Path, typer.Argument(help="The folder of a release.")]) -> None:
    """Check every file of a release, and say precisely what is wrong.

    Compares all files with the manifest, opens every collection and decodes
    every image. Exit status 1 where anything is wrong.

    Example:
    brownid verify results/release/brownid_world_v1
    """
    from brownid.release.manifest import read_manifest
    from brownid.release.verify import verify as problems_of

    problems = problems_of(path)
    if problems:
        for problem in problems:
            typer.echo(f"brownid: {problem}", err=True)
        raise typer.Exit(1)
    typer.echo(
        f"{path}: all {len(read_manifest(path))} files are as the manifest lists them; samples and images are sound."
    )
