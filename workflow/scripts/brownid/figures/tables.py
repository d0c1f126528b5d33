"""Tables as Markdown, for documents, and as pages of HTML, for the report."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts; `bold` has the row and column of the cells to stress, `shaded` the names of columns."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    bold: frozenset[tuple[int, int]] = frozenset()
    shaded: frozenset[str] = frozenset()


def markdown(tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """Tables as Markdown, each below its title, and a list of notes; the first column is aligned to the left."""
    parts = []
    for table in tables:
        lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)]]
        lines += [
            [f"**{text}**" if (row, column) in table.bold else text for column, text in enumerate(texts)]
            for row, texts in enumerate(table.rows)
        ]
        title = f"**{table.title}**\n\n" if table.title else ""
        parts.append(title + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    if notes:
        parts.append("".join(f"- {note}\n" for note in notes))
    return "\n".join(parts)


def html(title: str, tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """The same as a page of its own."""
    paragraphs = "".join(f"\n<p>{_escape(note)}</p>" for note in notes)
    return _PAGE.format(title=_escape(title), body="\n".join(map(_html_table, tables)) + paragraphs)


def _html_table(table: Table) -> str:
    shaded = [' class="shaded"' if name in table.shaded else "" for name in table.header]
    header = "".join(f"<th{kind}>{_escape(name)}</th>" for name, kind in zip(table.header, shaded, strict=True))
    lines = [f"<thead><tr>{header}</tr></thead><tbody>"]
    for row, texts in enumerate(table.rows):
        cells = [
            f"<b>{_escape(text)}</b>" if (row, column) in table.bold else _escape(text)
            for column, text in enumerate(texts)
        ]
        data = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells[1:], shaded[1:], strict=True))
        lines.append(f"<tr><th>{cells[0]}</th>{data}</tr>")
    title = f"<h2>{_escape(table.title)}</h2>\n" if table.title else ""
    return title + "<table>" + "\n".join(lines) + "</tbody></table>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; color: #222; margin: 1.5em }}
h2 {{ font-size: 1.1em; margin: 1.6em 0 .5em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .35em .9em; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }}
thead th {{ border-bottom: 1.5px solid #888 }}
th:first-child {{ text-align: left }}
tbody th {{ font-weight: normal }}
p {{ max-width: 60em }}
.shaded {{ background: #f4f4f4 }}
</style></head><body>
{body}
</body></html>
"""
