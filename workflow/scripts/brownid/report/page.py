"""The report as one file of HTML: a first page, and a page per section, all in it."""

import html
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brownid.gallery.completeness import gallery_facts
from brownid.report import parts
from brownid.report.summary import sentences

PROVENANCE = "provenance.html"  # Snakemake's own report beside this one
MOST_STRIPS = 6
PHOTOGRAPHS = "Pass this file on only where the licence of the database and the rights of these people allow it."


@dataclass(frozen=True)
class Run:
    """What the report is written from; paths are those of files that are there."""

    sections: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    captions: Mapping[str, str]
    galleries: Mapping[str, Path]  # dataset -> the script that begins its part of the gallery
    accuracies: Path | None = None
    quality: Path | None = None


def report_page(run: Run, place: Path) -> str:
    """The page for the file `place`, to which the addresses of other files are relative."""
    numbered = list(enumerate(run.sections, start=1))
    tabs = [("overview", "Overview"), *((f"section-{number}", f"{number} {s['title']}") for number, s in numbered)]
    navigation = "".join(f'<a href="#{anchor}">{html.escape(title)}</a>' for anchor, title in tabs)
    body = [_overview(run, place), *(_section(run, number, section, place) for number, section in numbered)]
    name = run.facts["release"] or "brownid"
    page = _PAGE
    for key, value in {"TITLE": name, "NAVIGATION": navigation, "STYLE": _STYLE, "SCRIPT": _SCRIPT}.items():
        page = page.replace(f"@{key}@", value)
    return page.replace("@BODY@", "\n".join(body))


def _address(path: Path, place: Path) -> str:
    return Path(os.path.relpath(path, place.parent)).as_posix()


def _overview(run: Run, place: Path) -> str:
    made = {name: gallery_facts(data) for name, data in run.galleries.items()}
    text = " ".join(coded(each) for each in sentences(run.facts, made, run.accuracies, run.quality))
    scores: list = next((section["items"] for section in run.sections if section["title"] == "Scores"), [])
    shown = "".join(_block(run, item, place, first=True) for item in scores[1::-1])
    return (
        f'<section id="overview"><h1>{html.escape(run.facts["release"] or "Results of this run")}</h1>'
        f'<p class="lead">{text}</p>{_warning(run)}{_links(run)}{_strips(run, made)}'
        f'<div class="scores">{shown}</div></section>'
    )


def coded(text: str) -> str:
    """HTML of a sentence in which names stand between backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _warning(run: Run) -> str:
    """Which pictures within the page show real people; nothing where none does."""
    titles = [
        f"{number}.{index} {item['title']}"
        for number, section in enumerate(run.sections, start=1)
        for index, item in enumerate(section["items"], start=1)
        if item.get("figure") in run.facts["photographs"]
    ]
    if not titles:
        return ""
    what = f"This file holds photographs of real people ({'; '.join(titles)}). {PHOTOGRAPHS}"
    return f'<p class="notice">{html.escape(what)}</p>'


def _links(run: Run) -> str:
    release = run.facts["release"]
    cards = [
        *([("gallery/index.html", "Gallery", "every image, sorted and filtered")] if run.galleries else []),
        *([(f"release/{release}/README.md", "Release", "the data package and its card")] if release else []),
        (PROVENANCE, "Provenance", "rule graph, runtimes, settings: Snakemake's own report, where it was written"),
    ]
    return (
        '<p class="cards">'
        + "".join(
            f'<a href="{html.escape(address)}"><b>{title}</b><span>{text}</span></a>' for address, title, text in cards
        )
        + "</p>"
    )


def _strips(run: Run, made: Mapping[str, Mapping[str, Any]]) -> str:
    """Faces of the datasets with variations, or of all where there are none, a row each."""
    varied = [name for name in made if run.facts["datasets"][name]["references"] != name]
    rows = "".join(
        f'<figure><figcaption><a href="gallery/index.html#dataset={name}">{name}</a></figcaption>'
        f"{parts.face_strip(run.galleries[name], made[name])}</figure>"
        for name in (varied or list(made))[:MOST_STRIPS]
    )
    what = (
        "the first identity of each dataset, its reference first" if varied else "the first identities of each dataset"
    )
    return f'<div class="strips"><h2>Faces</h2><p class="file">One row: {what}.</p>{rows}</div>' if rows else ""


def _section(run: Run, number: int, section: Mapping[str, Any], place: Path) -> str:
    blocks = "".join(
        _block(run, item, place, number=f"{number}.{index}") for index, item in enumerate(section["items"], start=1)
    )
    return f'<section id="section-{number}"><h1>{number} {html.escape(section["title"])}</h1>{blocks}</section>'


def _block(run: Run, item: Mapping[str, str], place: Path, *, number: str = "", first: bool = False) -> str:
    title = f"{number} {item['title']}".strip()
    if "figure" in item:
        shown = parts.figure_html(Path(item["figure"]), item["title"])
    elif "page" in item:
        shown = parts.page_body(Path(item["page"]), _address(Path(item["page"]), place), first=first)
    else:
        shown = parts.table_html(Path(item["table"]), _address(Path(item["table"]), place))
    text = parts.caption_html(run.captions[item["caption"]], item["of"]) if item["caption"] and not first else ""
    if item.get("figure") in run.facts["photographs"]:
        shown = f'<p class="notice">This figure shows photographs of real people. {PHOTOGRAPHS}</p>{shown}'
    about = f"<figcaption>{text}</figcaption>" if text else ""
    return f'<figure class="item"><h3>{html.escape(title)}</h3>{shown}{about}</figure>'


_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --panel: #f5f6f7; --ink: #1d1f21; --pale: #5c6268; --line: #dde0e3;
  --accent: #0067a8 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --panel: #1e2125; --ink: #e6e8ea; --pale: #9aa1a8; --line: #33383d; --accent: #66b4ee }
  .item > img { background: #fff; border-radius: 6px } }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: var(--ground); color: var(--ink); display: grid;
  grid-template-columns: 13rem minmax(0, 1fr) }
a { color: var(--accent) }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.2rem .6rem; background: var(--panel);
  border-right: 1px solid var(--line) }
nav a { display: block; padding: .25rem .7rem; border-radius: 5px; color: var(--ink); text-decoration: none }
nav a:hover { text-decoration: underline }
nav a[aria-current] { background: var(--accent); color: var(--ground) }
main { min-width: 0; padding: 1.2rem 2rem 3rem; max-width: 82rem }
h1 { font-size: 1.6rem; margin: 0 0 .6rem } h2 { font-size: 1.15rem; margin: 1.2rem 0 .3rem }
h3 { font-size: 1.05rem; margin: 0 0 .5rem }
h4 { font-size: .95rem; margin: 1rem 0 .4rem }
.lead { font-size: 1.05rem; max-width: 60rem; margin: 0 0 1rem }
.cards { display: flex; flex-wrap: wrap; gap: .7rem; margin: 0 }
.cards a { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .9rem; text-decoration: none;
  background: var(--panel); max-width: 24rem }
.cards b, .cards span { display: block } .cards span { color: var(--pale); font-size: .88rem }
figure { margin: 0 } figcaption { color: var(--pale); font-size: .92rem }
.strips figure { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem 1rem; margin-bottom: .35rem }
.strips figcaption { width: 17rem; overflow-wrap: anywhere }
.strip { border-radius: 4px; max-width: 100%; height: auto }
.item { border-top: 1px solid var(--line); padding: 1.1rem 0 .6rem; margin-top: 1.2rem }
.item > img { height: auto; max-width: 100%; display: block }
.item figcaption { max-width: 62rem; margin-top: .5rem } .item figcaption p { margin: .3rem 0 }
.item p { max-width: 62rem; color: var(--pale); font-size: .92rem }
.notice, .item .notice { border-left: 4px solid #c77700; background: var(--panel); color: var(--ink);
  padding: .5rem .9rem; max-width: 60rem; margin: 0 0 1rem }
.scores .item:first-child { border-top: 0; margin-top: .3rem }
.scores .item { min-width: 0 }
.wide { overflow: auto; max-height: 34rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem }
code { font: .92em ui-monospace, monospace; background: var(--panel); padding: 0 .25em; border-radius: 3px }
th, td { padding: .28em .6em; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
thead th { position: sticky; top: 0; background: var(--ground); border-bottom: 1.5px solid var(--pale) }
th:first-child, .text { text-align: left } tbody th { font-weight: normal } .shaded { background: var(--panel) }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer }
.file { overflow-wrap: anywhere; font-size: .85rem; color: var(--pale); margin: .35rem 0 }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px }
@media (max-width: 800px) {
  body { display: block } nav { position: static; height: auto; display: flex; overflow-x: auto; padding: .5rem;
    border-right: 0; border-bottom: 1px solid var(--line) } nav a { white-space: nowrap }
  main { padding: 1rem } .strips figcaption { width: 100% } }
@media print { nav { display: none } body { display: block } section[hidden] { display: block !important } }
"""

_SCRIPT = """
"use strict";
const sections = [...document.querySelectorAll("section")], links = [...document.querySelectorAll("nav a")];
function show() {
  const wanted = sections.find(section => `#${section.id}` === location.hash) || sections[0];
  for (const section of sections) section.hidden = section !== wanted;
  for (const link of links) link.ariaCurrent = link.hash === `#${wanted.id}` ? "page" : null;
  scrollTo(0, 0);
}
addEventListener("hashchange", show);
show();
for (const table of document.querySelectorAll("table.data"))
  table.querySelectorAll("thead button").forEach((button, column) => {
    let falling = false;
    button.onclick = () => {
      const value = row => {
        const cell = row.cells[column], exact = (cell.firstElementChild || cell).dataset.value;
        const number = parseFloat(exact || cell.textContent);
        return cell.classList.contains("text") ? cell.textContent : isNaN(number) ? Infinity : number;
      };
      const compared = (a, b) => a < b ? -1 : a > b ? 1 : 0, sign = falling ? -1 : 1;
      const rows = [...table.tBodies[0].rows].sort((a, b) => sign * compared(value(a), value(b)));
      falling = !falling;
      table.tBodies[0].append(...rows);
    };
  });
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title><style>@STYLE@</style></head><body>
<nav aria-label="Sections">@NAVIGATION@</nav>
<main>
@BODY@
</main>
<script>@SCRIPT@</script>
</body></html>
"""
