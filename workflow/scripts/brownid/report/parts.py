"""The parts of the report as HTML: captions, figures, tables, a strip of faces."""

import base64
import csv
import html
import io
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from brownid.figures.style import TITLES, readable
from brownid.runtime.errors import BrownidError

MOST_ROWS = 200  # of a table in the page; its file has all
ENTRY = re.compile(r"\{\{\s*snakemake\.wildcards\.\w+\s*\}\}")
INCH = 112  # pixels of the page: labels of plots are then a little smaller than its text
STRIP_IMAGES = 9  # of an identity, or of as many identities


def caption_html(text: str, entry: str) -> str:
    """A caption in reStructuredText, of which only paragraphs and emphasis are used, as paragraphs of HTML."""
    paragraphs = [" ".join(part.split()) for part in ENTRY.sub(lambda _: entry, text).strip().split("\n\n")]
    return "".join(f"<p>{_emphasised(paragraph)}</p>" for paragraph in paragraphs if paragraph)


def _emphasised(text: str) -> str:
    return re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", html.escape(text, quote=False))


def figure_html(path: Path, title: str) -> str:
    """A picture within the page: one that says how many pixels an inch has (a plot) in its size, others as they are."""
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            dots = round(image.info.get("dpi", (INCH, INCH))[0])
            width, height = (round(pixels * INCH / dots) for pixels in image.size)
    except OSError:
        raise BrownidError(f"{path}: this is not a picture that can be read; make it again.") from None
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{html.escape(title)}" decoding="async">'
    )


def table_html(path: Path, address: str) -> str:
    """A CSV file as a table that can be sorted, with a link to the file; long ones are cut, and say so."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        shown = list(islice(rows, MOST_ROWS))
        more = sum(1 for _ in rows)
    numeric = [all(_is_number(row[column]) for row in shown if row[column]) for column in range(len(header))]
    kinds = ["" if is_number else ' class="text"' for is_number in numeric]
    titles = [html.escape(TITLES.get(name, name.replace("_", " "))) for name in header]
    heads = "".join(f"<th{kind}><button>{title}</button></th>" for title, kind in zip(titles, kinds, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{_cell(text)}</td>" for text, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in shown
    ]
    cut = f"The first {len(shown)} of {len(shown) + more} rows. " if more else ""
    link = f'<p class="file">{cut}File: <a href="{html.escape(address)}">{html.escape(address)}</a></p>'
    body = "".join(lines)
    table = f'<table class="data"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wide">{table}</div>{link}'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cell(text: str) -> str:
    if "." in text and _is_number(text):
        value = float(text)
        if abs(value) < 1e-3:
            return f'<span data-value="{text}">{value:.4g}</span>'
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return html.escape(readable(text)) if text else "–"


def page_body(path: Path, address: str, *, first: bool = False) -> str:
    """The tables and notes of a page that `brownid.figures.tables.html` wrote, or its first table alone."""
    text = path.read_text(encoding="utf-8")
    start, end = text.find("<body>"), text.rfind("</body>")
    if start < 0 or end < 0:
        raise BrownidError(f"{path}: this is no page of tables; make it again.")
    inner = text[start + len("<body>") : end].replace("<table>", '<div class="wide"><table>')
    inner = inner[: inner.find("</table>") + len("</table>")] if first else inner
    inner = inner.replace("</table>", "</table></div>").replace("<h2>", "<h4>").replace("</h2>", "</h4>")
    return f'{inner.strip()}<p class="file">File: <a href="{html.escape(address)}">{html.escape(address)}</a></p>'


def face_strip(data: Path, facts: Mapping[str, Any]) -> str:
    """The first images of the first sheet of a dataset, in a row, as a picture within the page."""
    each = len(facts["labels"][0])
    side, count = facts["side"], min(STRIP_IMAGES, facts["images"] if each == 1 else each)
    with Image.open(data.with_name(f"{0:05}.jpg")) as sheet:
        strip = sheet.crop((0, 0, count * side, side))
    drawn = io.BytesIO()
    strip.save(drawn, format="jpeg", quality=90, subsampling=0)
    encoded = base64.b64encode(drawn.getvalue()).decode("ascii")
    return (
        f'<img class="strip" src="data:image/jpeg;base64,{encoded}" width="{count * side}" height="{side}" '
        f'alt="Faces of {html.escape(facts["name"])}">'
    )
