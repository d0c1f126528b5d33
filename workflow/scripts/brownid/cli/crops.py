"""`brownid crop`: photographs aligned onto a template."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files, options
from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.runtime import progress

if TYPE_CHECKING:
    import numpy as np

LANDMARK_COUNTS = (2, 5)
FAILURES = "failures.csv"


def crop(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", rich_help_panel=options.OUTPUT, help="A PNG for one photograph, a new folder for a CSV."
        ),
    ],
    photograph: Annotated[Path | None, typer.Argument(help="An image file; with --landmarks.")] = None,
    landmarks: Annotated[
        str | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2,...",
            help="Two eyes, or eyes, tip of the nose and corners of the mouth, left in the image first; in pixels.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="Many photographs: a file with the columns path,x1,y1,x2,y2,..."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that the paths of the CSV start from. Default: the CSV's own.")
    ] = None,
    template: Annotated[str, typer.Option(help="arcface, two_eye or ffhq.")] = "arcface",
    side: Annotated[int, typer.Option(min=1, help="Side of the aligned image in pixels.")] = 112,
    overwrite: options.Overwrite = False,
) -> None:
    """Align photographs onto a template, from landmarks.

    A photograph of a CSV that cannot be read or aligned is reported, listed in
    failures.csv of the output folder, and left out.

    Examples:
    brownid crop photo.jpg --landmarks 210,180,290,184 -o aligned.png
    brownid crop --csv landmarks.csv --template arcface --side 112 -o aligned
    """
    from brownid.alignment.templates import template as template_points

    target = template_points(template, side)
    if (photograph is None) == (table is None) or (landmarks is None) != (photograph is None):
        raise BrownidError("Give one photograph with --landmarks, or many with --csv.")
    if photograph is not None:
        files.check_new_file(output, overwrite)
        try:
            image = _aligned(photograph, _points(landmarks.split(",")), target, side)
        except BrownidError as error:
            raise BrownidError(f"{photograph}: {error}") from None
        with atomic_path(output) as temporary:
            files.write_png(temporary, image)
        files.wrote(output)
        return
    files.check_new_folder(output)
    rows = _read_table(table)
    failures = _crop_all(rows, root or table.parent, target, side, output)
    files.wrote(output, f"{len(rows) - len(failures)} images, {len(failures)} failed")


@dataclass(frozen=True)
class _Row:
    """One line of the CSV: where the photograph is, where its crop goes, and the landmarks as text."""

    path: str
    place: PurePosixPath
    numbers: list[str]


def _crop_all(rows: Sequence[_Row], root: Path, target: np.ndarray, side: int, output: Path) -> list[tuple[str, str]]:
    """Write the crops and what failed; the folder appears only when at least one photograph could be aligned."""
    from brownid.databases.reading import write_failures

    failures = []
    with files.new_folder(output) as folder:
        for row in progress(rows, "crop", "image"):
            try:
                files.write_png(folder / row.place, _aligned(root / row.path, _points(row.numbers), target, side))
            except BrownidError as error:
                failures.append((row.path, str(error)))
                typer.echo(f"brownid: {root / row.path}: {error}", err=True)
        if len(failures) == len(rows):
            raise BrownidError(f"None of the {len(rows)} photographs could be aligned; {output} was not made.")
        write_failures(folder / FAILURES, failures)
    return failures


def _aligned(path: Path, points: np.ndarray, target: np.ndarray, side: int) -> np.ndarray:
    """The photograph with its landmarks on those of the template; two landmarks are the eyes, the template's first."""
    from brownid.alignment.warp import warp_image
    from brownid.databases.reading import load_rgb

    return warp_image(load_rgb(path), points, target[:2] if len(points) == 2 else target, side)


def _points(numbers: Sequence[str]) -> np.ndarray:
    """Landmarks `[n, 2]` from texts x1, y1, x2, ..."""
    import numpy as np

    try:
        values = np.array([float(number) for number in numbers])
    except ValueError:
        raise BrownidError(f"the landmarks {','.join(numbers)!r} are not all numbers.") from None
    if len(values) not in [2 * count for count in LANDMARK_COUNTS]:
        raise BrownidError(f"{len(values)} numbers are no landmarks: give x,y of two eyes or of five points.")
    return values.reshape(-1, 2)


def _read_table(path: Path) -> list[_Row]:
    """The lines of a landmarks CSV; crops keep the photographs' relative paths, as PNG."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except FileNotFoundError:
        raise BrownidError(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BrownidError(f"{path}: the landmarks cannot be read ({error}).") from None
    if not lines or [name.strip() for name in lines[0][:3]] != ["path", "x1", "y1"]:
        raise BrownidError(f"{path}: the file must begin with a line of column names: path,x1,y1,x2,y2,...")
    rows, taken = [], {}
    for number, line in enumerate(lines[1:], start=2):
        name = line[0].strip()
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            relative = PurePosixPath(relative.name)
        place = relative.with_suffix(".png") if relative.name else None
        if place is None or place in taken:
            reason = "no path" if place is None else f"the same output, {place}, as line {taken[place]}"
            raise BrownidError(f"{path}: line {number} has {reason}; every photograph needs a name of its own.")
        taken[place] = number
        rows.append(_Row(name, place, [cell for cell in line[1:] if cell.strip()]))
    if not rows:
        raise BrownidError(f"{path}: there are no photographs below the line of column names.")
    return rows
