"""Photograph the embedded world as a genuine database."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from brownid.runtime.files import atomic_path, sha256
from brownid.runtime.settings import Settings
from brownid.world.databases import capture_multipie, capture_people, capture_portraits
from brownid.world.people import capture_arguments, embedded_world
from brownid.world.settings import MultipieCapture, PeopleCapture, PortraitCapture

CAPTURES: dict[str, tuple[type[Settings], Callable[..., int]]] = {
    "multipie": (MultipieCapture, capture_multipie),
    "people": (PeopleCapture, capture_people),
    "portraits": (PortraitCapture, capture_portraits),
}


def capture_database(settings: Mapping[str, Any], *, manifest: Path) -> None:
    """Render a database into `images/` next to `manifest`, which lists every image with its checksum.

    The folder is no declared output of the rule, so what an earlier run left there goes first.
    """
    root = manifest.parent / "images"
    shutil.rmtree(root, ignore_errors=True)
    settings_class, capture = CAPTURES[settings["kind"]]
    capture(embedded_world(settings), root, settings_class(**capture_arguments(settings["capture"])))
    paths = sorted(path for path in root.rglob("*.png"))
    with atomic_path(manifest) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "sha256"))
        writer.writerows((path.relative_to(root).as_posix(), sha256(path)) for path in paths)


if __name__ == "__main__":
    run(capture_database, snakemake)
