"""Text in the formats of a release: Markdown, a YAML header, BibTeX; no text from elsewhere becomes markup there."""

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

import yaml

INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")  # also turns text around
MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
LINE_START = re.compile(r"^([#+=-]|\d+(?=[.)](?: |$)))")  # would begin a heading or a list
TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
}


def one_line(text: str) -> str:
    """The text on one line: control characters and runs of white space become one blank."""
    return " ".join(INVISIBLE.sub(" ", text).split())


def plain(text: str) -> str:
    """Text that Markdown, also in a table, shows as it is written, on one line."""
    escaped = MARKDOWN.sub(r"\\\1", one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return LINE_START.sub(lambda found: f"&#{ord(found[1][0])};{found[1][1:]}", escaped)


def code(text: str) -> str:
    """Text as code within a line of Markdown, also in a table; text that code cannot hold is `plain`."""
    line = one_line(text)
    return f"`{line}`" if line and not set("`|\\") & set(line) else plain(line)


def link(text: str, address: str) -> str:
    """A link, where the address is one of the web; else the text and the address, plain."""
    target = one_line(address)
    if not re.fullmatch(r"https?://[^\s<>()\[\]\"'`|\\]+", target):
        return f"{plain(text)} ({plain(target)})" if target else plain(text)
    return f"[{plain(text)}]({target})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int] = ()) -> str:
    """A table of Markdown cells; the columns with the numbers `right` are aligned to the right."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def listing(items: Sequence[str]) -> str:
    """A list of Markdown."""
    return "\n".join(f"- {item}" for item in items)


def python(example: str) -> str:
    """A block of Python code."""
    return f"```python\n{example}\n```"


def yaml_header(content: Mapping[str, Any]) -> str:
    """The YAML between two lines of hyphens that begins a card of the Hugging Face Hub."""
    return f"---\n{yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)}---"


def tex(text: str) -> str:
    """Text that TeX prints as it is written, on one line."""
    return "".join(TEX.get(character, character) for character in one_line(text))
