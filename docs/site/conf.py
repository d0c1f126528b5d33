"""The documents site: `make documents` builds build/documents/html from the Markdown files of this project.

The sources are where they are in the clone, so that links work in the clone, on a code host and on the site. Nothing
that a page shows comes from the network when it is read: equations are MathML, fonts are those of the reader.
"""

import os
import re
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from pygments.lexers.special import TextLexer

PROJECT = Path(__file__).parents[2]
GENERATED = PROJECT / "build" / "documents" / "reference"
# Where readers find files that are no pages, such as https://github.com/OWNER/NAME. Without it, links to them are text.
REPOSITORY = os.environ.get("BROWNID_REPOSITORY", "")
PAGES = ("docs", "config", "benchmarks", "CHANGELOG.md", "CONTRIBUTING.md")

project = "brownid"
author = "brownid contributors"
project_copyright = author
(release,) = re.findall(r'^__version__ = "(.+)"$', (PROJECT / "workflow/scripts/brownid/__init__.py").read_text(), re.M)
version = release
extensions = ["myst_parser", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/*/*.md",
    "config/README.md",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = [path.name for path in PROJECT.iterdir() if path.name not in PAGES]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["dollarmath", "deflist", "attrs_block", "colon_fence"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
smartquotes = False  # would turn the two hyphens of an option into a dash
nitpicky = True

html_theme = "furo"
html_title = f"brownid {release}"
html_static_path = ["static"]
html_css_files = ["brownid.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"


def include_generated(app: Any, name: str, source: list[str]) -> None:
    """Put the generated pages where the Markdown has `<!-- generated: NAME -->`, and resolve links to no page."""
    source[0] = re.sub(
        r"<!-- generated: (\w+) -->", lambda found: (GENERATED / f"{found[1]}.md").read_text(), source[0]
    )
    here = (PROJECT / name).parent
    source[0] = re.sub(
        r"(?<!!)\[([^\[\]]+)\]\(([^)#:\s]+)(#[^)\s]*)?\)", lambda link: _resolved(app, here, link), source[0]
    )


def _resolved(app: Any, here: Path, link: re.Match) -> str:
    target = (here / link[2]).resolve()
    if not target.exists() or not target.is_relative_to(PROJECT):
        return link[0]
    path = target.relative_to(PROJECT).as_posix()
    if path == "README.md":
        return f"[{link[1]}](/docs/index.md)"
    if path.removesuffix(".md") in app.env.found_docs:
        return link[0]
    kind = "tree" if target.is_dir() else "blob"
    return f"[{link[1]}]({REPOSITORY}/{kind}/main/{path})" if REPOSITORY else f"`{link[1].strip('`')}`"


def write_math(translator: Any, node: Any, display: str) -> None:
    """An equation as MathML."""
    translator.body.append(convert(node.astext(), display=display))
    raise SkipNode


def write_block(translator: Any, node: Any) -> None:
    """An equation in a line of its own."""
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def lead_home(app: Any, error: Exception | None) -> None:
    """The folder of the site opens its home page."""
    if error is None and app.builder.format == "html":
        refresh = '<meta http-equiv="refresh" content="0; url=docs/index.html">'
        page = (
            f'<!doctype html><meta charset="utf-8"><title>brownid</title>{refresh}<a href="docs/index.html">brownid</a>'
        )
        Path(app.outdir, "index.html").write_text(f"{page}\n", encoding="utf-8")


def setup(app: Any) -> None:
    """Connect the functions above."""
    app.add_lexer("rooms", TextLexer)  # of docs/architecture.md, for a test
    app.connect("source-read", include_generated)
    app.connect("build-finished", lead_home)
    app.add_html_math_renderer("mathml", (lambda t, n: write_math(t, n, "inline"), None), (write_block, None))
