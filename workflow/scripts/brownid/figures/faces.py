"""Contact sheets of face images, pixel for pixel: rows of identities, training batches, pairs of a leak audit."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brownid.figures.style import require
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path

GAP = 4  # pixels between images
MARGIN = 12
TEXT_SIZE = 13
HEADING = TEXT_SIZE + 16  # pixels above a row that begins a section
INK, PALE = (34, 34, 34), (96, 96, 96)


def image_grid(
    cells: Sequence[Sequence[np.ndarray]],
    path: str | Path,
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    headings: Mapping[int, str] | None = None,
    title: str | None = None,
    height: int = 112,
) -> None:
    """Write rows of uint8 RGB images `[H, W, 3]`, all of one size; rows may be of different length.

    Row labels stand on the left, column labels on top, captions (one per image) below, and headings of sections above
    the rows of these numbers. Each image is shown `height` pixels high.
    """
    require(cells, "images")
    shapes = {np.shape(image) for row in cells for image in row}
    if len(shapes) != 1:
        raise BrownidError(f"A grid of images needs at least one image and one size; found {sorted(shapes)}.")
    ((source_height, source_width, _),) = shapes
    width = round(height * source_width / source_height)
    columns, headings = max(map(len, cells)), headings or {}
    layout = _Layout.of(
        len(cells), columns, (width, height), row_labels, column_labels, captions is not None, headings, title
    )
    sheet = Image.new("RGB", layout.size, "white")
    draw = ImageDraw.Draw(sheet)
    text = _font()
    if title:
        draw.text((MARGIN, MARGIN), title, fill=INK, font=_font(bold=True, size=TEXT_SIZE + 3), anchor="lt")
    for column, label in enumerate(column_labels or []):
        x, _ = layout.corner(0, column)
        draw.text((x + width // 2, layout.top - 6), label, fill=PALE, font=text, anchor="ms")
    for row, heading in headings.items():
        x, y = layout.corner(row, 0)
        draw.text((x, y - 8), heading, fill=INK, font=_font(bold=True), anchor="ls")
    for row, images in enumerate(cells):
        for column, image in enumerate(images):
            x, y = layout.corner(row, column)
            sheet.paste(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC), (x, y))
            if captions is not None:
                caption = (x + width // 2, y + height + 3)
                draw.text(caption, captions[row][column], fill=PALE, font=text, anchor="ma")
        if row_labels is not None:
            x, y = layout.corner(row, 0)
            draw.text((x - 8, y + height // 2), row_labels[row], fill=INK, font=text, anchor="rm")
    drawn = io.BytesIO()  # Pillow hides why it cannot write a file
    sheet.save(drawn, format="png")
    with atomic_path(path) as temporary:
        temporary.write_bytes(drawn.getvalue())


def contact_sheet(
    images: np.ndarray,
    path: str | Path,
    *,
    columns: int = 8,
    captions: Sequence[str] | None = None,
    title: str | None = None,
    height: int = 112,
) -> None:
    """Write images uint8 `[n, H, W, 3]` one after the other, `columns` a row."""
    starts = range(0, len(images), columns)
    rows = [list(images[start : start + columns]) for start in starts]
    row_captions = [list(captions[start : start + columns]) for start in starts] if captions is not None else None
    image_grid(rows, path, captions=row_captions, title=title, height=height)


def image_pairs(
    first: np.ndarray,
    second: np.ndarray,
    angles: Sequence[float],
    path: str | Path,
    *,
    columns: int = 5,
    title: str | None = None,
    height: int = 112,
) -> None:
    """Write pairs of images side by side, both uint8 `[n, H, W, 3]`, with the angle between them below.

    For the leak audit: left the reference, right the closest training image, angles in radians.
    """
    if not len(first) == len(second) == len(angles):
        raise BrownidError(
            f"Pairs need as many first as second images and angles: {len(first)}, {len(second)}, {len(angles)}."
        )
    require(first, "pairs of images")
    seam = np.full((len(first), first.shape[1], max(1, first.shape[2] // 56), 3), 255, np.uint8)
    pairs = np.concatenate([first, seam, second], axis=2)
    captions = [f"{angle:.2f} rad, cosine {math.cos(angle):.2f}" for angle in angles]
    contact_sheet(pairs, path, columns=columns, captions=captions, title=title, height=height)


@dataclass(frozen=True)
class _Layout:
    """Positions on a sheet, in pixels."""

    left: int
    top: int
    step: tuple[int, int]
    size: tuple[int, int]
    headed: tuple[int, ...]  # rows below a heading

    @classmethod
    def of(
        cls,
        rows: int,
        columns: int,
        cell: tuple[int, int],
        row_labels: Sequence[str] | None,
        column_labels: Sequence[str] | None,
        captioned: bool,
        headings: Mapping[int, str],
        title: str | None,
    ) -> "_Layout":
        """The layout of `rows` x `columns` cells of `cell` = (width, height)."""
        text = _font()
        left = MARGIN + (max(int(text.getlength(label)) for label in row_labels) + 8 if row_labels else 0)
        top = MARGIN + (TEXT_SIZE + 14 if title else 0) + (TEXT_SIZE + 8 if column_labels else 0)
        step = cell[0] + GAP, cell[1] + GAP + (TEXT_SIZE + 8 if captioned else 0)
        width = left + columns * step[0] - GAP + MARGIN
        if title:
            width = max(width, 2 * MARGIN + int(_font(bold=True, size=TEXT_SIZE + 3).getlength(title)))
        for heading in headings.values():
            width = max(width, left + int(_font(bold=True).getlength(heading)) + MARGIN)
        height = top + rows * step[1] + len(headings) * HEADING - GAP + MARGIN
        return cls(left, top, step, (width, height), tuple(headings))

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """The upper left pixel of a cell."""
        headings = sum(headed <= row for headed in self.headed)
        return self.left + column * self.step[0], self.top + row * self.step[1] + headings * HEADING


def _font(bold: bool = False, size: int = TEXT_SIZE) -> ImageFont.FreeTypeFont:
    """The typeface of the other figures, from matplotlib's own files: the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
