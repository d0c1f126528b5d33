"""What a run ends with: the score table, and where its results are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

MOST = 3  # paths
SCORES = ("results/tables/evaluation", "results/tables/development")
REPORT = "results/report.html"
FOLDERS = ("results/figures/faces", "results/images", "results/figures")


def summary(directory: Path, made: Collection[str] | None = None) -> str:
    """The score table and the paths of the main results below `directory`; empty where there are none.

    With `made`, the files of a run relative to `directory`, only these, so that a run of a part does not end with the
    scores of an earlier one.
    """

    def there(path: str) -> bool:
        return (made is None or path in made) and (directory / path).is_file()

    scores = next((folder for folder in SCORES if there(f"{folder}/scores.md")), None)
    table = [] if scores is None else ["", (directory / scores / "scores.md").read_text(encoding="utf-8").rstrip()]
    found = [*_releases(directory, made), *([f"{scores}/scores.csv"] if scores else [])]
    found += [REPORT] * there(REPORT)
    if len(found) < MOST - 1:
        found += [f"{folder}/" for folder in FOLDERS if made is None or any(path.startswith(folder) for path in made)]
    shown = [str(directory / path) + "/" * path.endswith("/") for path in found if (directory / path).exists()]
    return "\n".join([*table, "", *shown[:MOST]]) if table or shown else ""


def _releases(directory: Path, made: Collection[str] | None) -> Iterator[str]:
    for manifest in sorted(directory.glob("results/release/*/manifest.csv")):
        path = manifest.relative_to(directory)
        if made is None or path.as_posix() in made:
            yield f"{path.parent.as_posix()}/"
