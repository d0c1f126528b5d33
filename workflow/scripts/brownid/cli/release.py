"""`brownid verify`: is a release whole and unchanged?"""

from pathlib import Path
from typing import Annotated

import typer

from brownid.runtime.errors import listed


def verify(
    path: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a release.")],
    processes: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes at the same time. Default: one per processor.")
    ] = None,
) -> None:
    """Check every file of a release, and say precisely what is wrong.

    Compares all files with the manifest, opens every collection and decodes
    every image. Exit status 1 where anything is wrong. What file managers
    leave in folders (.DS_Store, Thumbs.db, …) is named and passed over.

    Example:
    brownid verify results/release/brownid_world_v1
    """
    from brownid.release.contents import manifest_entries
    from brownid.release.file_checks import left_in
    from brownid.release.verify import verify as problems_of

    problems = problems_of(path, processes)
    left = left_in(path)
    if left:
        typer.echo(f"{path}: passed over what file managers and the like left: {listed(left, most=10)}.")
    if problems:
        for problem in problems:
            typer.echo(f"brownid: {problem}", err=True)
        raise typer.Exit(1)
    files = sum(1 for _ in manifest_entries(path))
    typer.echo(f"{path}: all {files} files are as the manifest lists them; samples and images are sound.")
