"""`brownid crop`: photographs aligned onto a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.alignment.settings import MTCNNSettings
from brownid.cli import files, options, settings
from brownid.runtime.errors import BrownidError, listed, suggestion
from brownid.runtime.files import atomic_path
from brownid.runtime.process import progress

if TYPE_CHECKING:
    import numpy as np

LANDMARK_COUNTS = (2, 5)
FAILURES = "failures.csv"
DETECTOR = "Detector"

# a photograph uint8 RGB [h, w, 3] and its landmarks as text -> the aligned image
Align = Callable[["np.ndarray", Sequence[str]], "np.ndarray"]


Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        rich_help_panel=options.OUTPUT,
        help="A PNG for one photograph, a new folder for several.",
    ),
]
Photograph = Annotated[
    Path | None, typer.Argument(metavar="[PHOTOGRAPH]", help="An image file, or with --detector a folder of them.")
]
Landmarks = Annotated[
    str | None,
    typer.Option(
        metavar="X1,Y1,X2,Y2,...",
        help="Two eyes, or eyes, tip of the nose and corners of the mouth, left in the image first; in pixels.",
    ),
]
Table = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Many photographs: a file with the columns path,x1,y1,x2,y2,..."),
]
Root = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder that the paths of the CSV start from. Default: the CSV's own."),
]
DetectorFamily = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=DETECTOR,
        help="yunet or mtcnn: finds the most prominent face and its landmarks.",
    ),
]
DetectorFiles = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=DETECTOR,
        help="Its ONNX file; for mtcnn three times: P-Net, R-Net and O-Net, in this order.",
    ),
]
SETTINGS = {"": settings.of(MTCNNSettings, max_side=None)}  # that of YuNet is another one


def crop(
    output: Output,
    photograph: Photograph = None,
    landmarks: Landmarks = None,
    table: Table = None,
    root: Root = None,
    detector: DetectorFamily = None,
    detector_file: DetectorFiles = None,
    setting: settings.Given = None,
    template: Annotated[str, typer.Option(metavar="NAME", help=f"{options.TEMPLATES}.")] = "arcface",
    image_size: Annotated[int, typer.Option(metavar="PIXELS", min=1, help="Side of the aligned image.")] = 112,
    overwrite: options.Overwrite = False,
) -> None:
    """Align photographs onto a template, from landmarks or with a face detector.

    Of several photographs one that cannot be read or aligned is reported,
    listed in failures.csv of the output folder, and left out.

    Examples:
    brownid crop photo.jpg --landmarks 210,180,290,184 -o aligned.png
    brownid crop --csv landmarks.csv --template arcface --image-size 112 -o aligned
    brownid crop photos --detector yunet --detector-file yunet.onnx -o aligned
    """
    from brownid.alignment.templates import template as template_points

    template_points(template, image_size)  # a wrong name is no failure of a photograph
    if (photograph is None) == (table is None) or [landmarks, table, detector].count(None) != 2:
        raise BrownidError(
            "Give one photograph with --landmarks, or many with --csv, or a photograph or folder with --detector."
        )
    if detector is not None:
        align = _detecting(detector, detector_file or [], settings.read(setting, SETTINGS)[""], template, image_size)
    elif detector_file or setting:
        raise BrownidError("--detector-file and --set belong to a --detector: name it, yunet or mtcnn.")
    else:
        align = _by_landmarks(template, image_size)
    if photograph is not None and not photograph.is_dir():
        files.check_new_file(output, overwrite)
        _crop_one(photograph, [] if landmarks is None else landmarks.split(","), align, output)
        return
    files.check_new_folder(output)
    if table is not None:
        rows, root = _read_table(table), root or table.parent
    elif detector is not None and photograph is not None:
        rows, root = _rows_below(photograph), photograph
    else:
        raise BrownidError(f"{photograph} is a folder: its landmarks come from a --csv or a --detector.")
    failures = _crop_all(rows, root, align, output)
    files.wrote(output, f"{len(rows) - len(failures)} images, {len(failures)} failed")


def _crop_one(photograph: Path, numbers: Sequence[str], align: Align, output: Path) -> None:
    """Write the crop of one photograph."""
    try:
        image = _cropped(photograph, numbers, align)
    except BrownidError as error:
        raise BrownidError(f"{photograph}: {error}") from None
    with atomic_path(output) as temporary:
        files.write_png(temporary, image)
    files.wrote(output)


@dataclass(frozen=True)
class _Row:
    """One line of the CSV: where the photograph is, where its crop goes, and the landmarks as text."""

    path: str
    place: PurePosixPath
    numbers: list[str]


def _crop_all(rows: Sequence[_Row], root: Path, align: Align, output: Path) -> list[tuple[str, str]]:
    """Write the crops and what failed; the folder appears only when at least one photograph could be aligned."""
    from brownid.databases.reading import write_failures

    failures = []
    with files.new_folder(output) as folder:
        for row in progress(rows, "crop", "image"):
            try:
                files.write_png(folder / row.place, _cropped(root / row.path, row.numbers, align))
            except BrownidError as error:
                failures.append((row.path, str(error)))
                typer.echo(f"brownid: {root / row.path}: {error}", err=True)
        if len(failures) == len(rows):
            raise BrownidError(f"None of the {len(rows)} photographs could be aligned; {output} was not made.")
        write_failures(folder / FAILURES, failures)
    return failures


def _cropped(path: Path, numbers: Sequence[str], align: Align) -> np.ndarray:
    from brownid.databases.reading import aligned, load_image

    return aligned(load_image(path), align, numbers)


def _by_landmarks(template: str, image_size: int) -> Align:
    """Alignment by the landmarks that come with a photograph."""
    from brownid.alignment.photographs import align_landmarks

    return lambda image, numbers: align_landmarks(image, _points(numbers), template, image_size)


def _detecting(family: str, paths: Sequence[Path], given: Mapping[str, Any], template: str, image_size: int) -> Align:
    """Alignment by the landmarks that a detector finds."""
    from brownid.alignment.detection import DETECTORS, MTCNN_NETWORKS
    from brownid.alignment.detection import detector as open_detector
    from brownid.alignment.photographs import AlignedImage, align_photograph

    if Path(family).is_file():
        raise BrownidError(
            f"--detector {family} is a file: give --detector yunet or mtcnn, and the file by --detector-file."
        )
    if family not in DETECTORS:
        raise BrownidError(f"--detector {family}: there is no such face detector; {suggestion(family, DETECTORS)}")
    needed = {"mtcnn": len(MTCNN_NETWORKS)}.get(family, 1)
    if len(paths) != needed:
        files = "its ONNX file" if needed == 1 else f"its {needed} model files, {listed(MTCNN_NETWORKS)} in this order"
        raise BrownidError(
            f"--detector {family} needs {files}, but --detector-file gives {len(paths)}: `brownid models list` names "
            "their sources."
        )
    places = {"files": dict(zip(MTCNN_NETWORKS, paths, strict=True))} if needed > 1 else {"file": paths[0]}
    finder = open_detector({"family": family, **places, **given})

    def align(image: np.ndarray, _: Sequence[str]) -> np.ndarray:
        result = align_photograph(image, finder, template, image_size)
        if isinstance(result, AlignedImage):
            return result.image
        raise BrownidError(f"{result.reason}.")

    return align


def _rows_below(folder: Path) -> list[_Row]:
    """The photographs of a folder, without landmarks."""
    from brownid.databases.listing import image_paths

    paths = image_paths(folder)
    return [_Row(path, place, []) for path, place in zip(paths, _places(paths, paths), strict=True)]


def _places(photographs: Sequence[str], paths: Sequence[str]) -> list[PurePosixPath]:
    """Paths of the crops of different photographs: their relative `paths`, as PNG files, each of its own name."""
    from brownid.databases.listing import distinct_keys, without_suffix

    stems = dict(zip(photographs, map(without_suffix, paths), strict=True))
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    names = distinct_keys(photographs, stems.__getitem__, taken={name.removesuffix(".png") for name in folders})
    return [PurePosixPath(f"{names[photograph]}.png") for photograph in photographs]


def _points(numbers: Sequence[str]) -> np.ndarray:
    """Landmarks `[n, 2]` from texts x1, y1, x2, ..."""
    import numpy as np

    try:
        values = np.array([float(number) for number in numbers])
    except ValueError:
        raise BrownidError(f"The landmarks {','.join(numbers)!r} are not all numbers.") from None
    if len(values) not in [2 * count for count in LANDMARK_COUNTS]:
        raise BrownidError(f"{len(values)} numbers are no landmarks: give x,y of two eyes or of five points.")
    return values.reshape(-1, 2)


def _read_table(path: Path) -> list[_Row]:
    """The lines of a landmarks CSV; crops keep the photographs' relative paths, as PNG."""
    from brownid.databases.listing import csv_rows, path_text, read_lines

    lines = [line for line in csv_rows(path, read_lines(path, "file of landmarks")) if line]
    if not lines or [name.strip() for name in lines[0][:3]] != ["path", "x1", "y1"]:
        raise BrownidError(f"{path}: the file must begin with a line of column names: path,x1,y1,x2,y2,...")
    lines_of: dict[str, int] = {}  # photograph -> the line that names it
    relatives, landmarks = [], []
    for number, line in enumerate(lines[1:], start=2):
        name, numbers = path_text(line[0].strip()), [cell for cell in line[1:] if cell.strip()]
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            relative = PurePosixPath(relative.name)
        if not relative.name:
            raise BrownidError(f"{path}: line {number} has no path.")
        if lines_of.setdefault(name, number) != number:
            raise BrownidError(f"{path}: line {number} has the photograph of line {lines_of[name]}; remove one.")
        relatives.append(str(relative))
        landmarks.append(numbers)
    if not lines_of:
        raise BrownidError(f"{path}: there are no photographs below the line of column names.")
    return [_Row(*row) for row in zip(lines_of, _places(list(lines_of), relatives), landmarks, strict=True)]
