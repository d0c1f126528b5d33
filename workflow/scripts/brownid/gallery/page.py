"""The page of the gallery: one file that shows datasets, whose sheets and scripts are in folders next to it."""

import json
from collections.abc import Sequence

from brownid.gallery.script import SCRIPT


def gallery_page(datasets: Sequence[str], *, title: str = "Gallery", home: str | None = None) -> str:
    """The page, for the folders of these datasets beside it; `home` is the address of the page that leads here."""
    names = json.dumps(list(datasets)).replace("<", "\\u003c")
    link = f'<a href="{home}">← report</a>' if home else ""
    page = _PAGE
    for key, value in {"TITLE": title, "HOME": link, "STYLE": STYLE, "SCRIPT": SCRIPT, "DATASETS": names}.items():
        page = page.replace(f"@{key}@", value)
    return page


STYLE = """
:root { color-scheme: light dark; --ground: #fff; --panel: #f5f6f7; --ink: #1d1f21; --pale: #61676d; --line: #dde0e3;
  --accent: #0067a8 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --panel: #1e2125; --ink: #e6e8ea; --pale: #9aa1a8; --line: #33383d; --accent: #66b4ee } }
* { box-sizing: border-box }
html { scroll-padding-top: 9rem }
body { margin: 0; font: 14px/1.45 system-ui, sans-serif; background: var(--ground); color: var(--ink) }
a { color: var(--accent) }
header { position: sticky; top: 0; z-index: 2; background: var(--ground); border-bottom: 1px solid var(--line);
  padding: .5rem max(.8rem, env(safe-area-inset-left)) .55rem }
header > div { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center }
h1 { font-size: 1.05rem; margin: 0 }
[hidden] { display: none !important }
label { display: inline-flex; gap: .35rem; align-items: center; color: var(--pale); white-space: nowrap }
select, input, header button, dialog button { font: inherit; color: var(--ink); background: var(--panel);
  border: 1px solid var(--line); border-radius: 5px; padding: .22rem .5rem; min-height: 2rem }
header button, dialog button, summary { cursor: pointer }
select { max-width: 17rem }
input[type=number] { width: 5.5rem } input[type=search] { width: 8.5rem }
input[type=range] { width: 6.5rem; padding: 0; accent-color: var(--accent) }
[role=tablist] { display: inline-flex } [role=tablist] button { border-radius: 0 }
[role=tablist] button:first-child { border-radius: 5px 0 0 5px }
[role=tablist] button:last-child { border-radius: 0 5px 5px 0; border-left: 0 }
[aria-selected=true] { background: var(--accent) !important; color: var(--ground) !important }
details { flex-basis: 100% } details[open] { padding-bottom: .2rem } summary { color: var(--pale); width: max-content }
.ranges { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: .3rem .9rem;
  margin-top: .3rem }
.ranges label span:first-child { width: 9.5rem; overflow: hidden; text-overflow: ellipsis }
#count { color: var(--pale) }
#stage { position: relative; margin: .7rem max(.8rem, env(safe-area-inset-left)) }
article { position: absolute; overflow: hidden }
article p { margin: 0; height: 1.35rem; line-height: 1.35rem; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; font-size: 12.5px; color: var(--pale); font-variant-numeric: tabular-nums }
article p b { color: var(--ink) }
.tiles { display: flex; flex-wrap: wrap; gap: 2px }
.tile { border: 0; padding: 0; border-radius: 3px; background-color: var(--panel); background-repeat: no-repeat;
  cursor: zoom-in; flex: none; display: block }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px }
.tile:focus-visible { outline-offset: -3px }
dialog { border: 1px solid var(--line); border-radius: 9px; background: var(--ground); color: var(--ink); padding: 1rem;
  width: min(44rem, 96vw); max-height: 94vh; overflow: auto }
dialog::backdrop { background: rgba(0, 0, 0, .55) }
.large { display: flex; flex-wrap: wrap; gap: .8rem }
.large .tile { cursor: default }
figure { margin: 0 } figcaption { color: var(--pale); padding-top: .2rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem; margin: .7rem 0;
  font-variant-numeric: tabular-nums }
dt { color: var(--pale) } dd { margin: 0 }
.actions { display: flex; gap: .5rem; justify-content: space-between; margin-top: .8rem }
footer { color: var(--pale); padding: .4rem max(.8rem, env(safe-area-inset-left)) 1.5rem; max-width: 62rem }
kbd { border: 1px solid var(--line); border-radius: 3px; padding: 0 .3em; background: var(--panel); font: inherit }
@media (max-width: 600px) {
  header { position: static } html { scroll-padding-top: .5rem }
  select { max-width: 62vw } .ranges { grid-template-columns: 1fr } .ranges label span:first-child { width: 7.5rem } }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title><style>@STYLE@</style></head><body>
<header><div>
<h1>@TITLE@</h1>@HOME@
<label>Dataset <select id="dataset"></select></label>
<span role="tablist" aria-label="View" id="views"><button role="tab" data-view="identities">Identities</button><button
 role="tab" data-view="pairs">Nearest pairs</button></span>
<label>Sort by <select id="sort"></select></label>
<button id="order" aria-label="Order"></button>
<label>Size <input id="size" type="range" min="32" max="160" step="8" aria-label="Size of the images"></label>
<span id="count" role="status"></span>
<details id="filter"><summary>Filter</summary><div class="ranges" id="ranges"></div></details>
</div></header>
<main id="stage" aria-label="Images"></main>
<footer id="notes"></footer>
<dialog id="zoom" aria-label="One image"></dialog>
<noscript>This page needs JavaScript: it lays out the thumbnails of the folders beside it.</noscript>
<script>const DATASETS = @DATASETS@;</script>
<script>@SCRIPT@</script>
</body></html>
"""
