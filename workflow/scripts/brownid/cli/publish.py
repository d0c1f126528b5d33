"""`brownid publish`: a release as repositories of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files

if TYPE_CHECKING:
    from brownid.release.hub import Repository


def publish(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="The folder of a release.")],
    repo: Annotated[
        str,
        typer.Option(
            metavar="OWNER/NAME",
            help="The dataset repository; networks go to OWNER/NAME-ENTRY, one per training entry.",
        ),
    ],
    upload: Annotated[
        bool, typer.Option("--upload", help="Upload. Without it, only say what would be uploaded.")
    ] = False,
    prepare: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the repositories as folders below a new folder.")
    ] = None,
    models: Annotated[bool, typer.Option("--models/--no-models", help="Model repositories of the networks.")] = True,
    private: Annotated[bool, typer.Option("--private", help="Make repositories that only their owner sees.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make the release the newest version of repositories that exist.")
    ] = False,
) -> None:
    """Publish a release on the Hugging Face Hub; say only what would be uploaded unless --upload.

    The dataset repository is the release as it is. A release that does not
    verify or that has no licence is refused. Log in by `hf auth login` first.
    An upload that was interrupted goes on by the same command and --replace.

    Examples:
    brownid publish results/release/my_release --repo me/my_release
    brownid publish results/release/my_release --repo me/my_release --upload --private
    """
    from brownid.release import hub

    files.check_new_folder(prepare)
    planned = hub.repositories(release, repo, models)
    for repository in planned:
        typer.echo("\n".join(_lines(repository)))
    if prepare is not None:
        hub.prepare(planned, prepare)
        files.wrote(prepare, f"{len(planned)} repositories")
    if upload:
        from huggingface_hub import HfApi

        hub.upload(planned, HfApi(), message=release.resolve().name, private=private, replace=replace)
        for repository in planned:
            typer.echo(f"uploaded {repository.url}")
    elif prepare is None:
        typer.echo("Nothing was uploaded: add --upload.")


def _lines(repository: Repository) -> list[str]:
    sizes = repository.sizes()
    count, total = sum(number for number, _ in sizes.values()), sum(size for _, size in sizes.values())
    longest = max(map(len, sizes))
    return [
        f"{repository.kind} repository {repository.name}: {_files(count)}, {files.size_text(total)}",
        *(f"  {top:<{longest}}  {files.size_text(size):>9}  {_files(number)}" for top, (number, size) in sizes.items()),
    ]


def _files(count: int) -> str:
    return f"{count} file{'s' if count != 1 else ''}"
