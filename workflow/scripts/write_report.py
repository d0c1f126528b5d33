"""Write the page of the run, and that of the gallery."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.gallery.page import gallery_page
from brownid.report.page import Run, report_page
from brownid.runtime.text import write_text


def write_report(
    settings: Mapping[str, Any],
    *,
    captions: Mapping[str, str],
    galleries: Sequence[Path],
    accuracies: Path | None,
    quality: Path | None,
    page: Path,
    index: Path | None,
) -> None:
    """Write one file with every figure and table that `settings["sections"]` names, and the page of the gallery.

    `captions` are texts by the names that the sections use; `galleries` are in the order of `settings["gallery"]`.
    """
    named = dict(zip(settings["gallery"], galleries, strict=True))
    shown = Run(settings["sections"], settings["facts"], captions, named, accuracies, quality)
    write_text(page, report_page(shown, page))
    if index is not None:
        write_text(index, gallery_page(settings["gallery"], home="../report.html"))


if __name__ == "__main__":
    run(write_report, snakemake)
