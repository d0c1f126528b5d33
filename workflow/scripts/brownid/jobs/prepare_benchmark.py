"""Turn a benchmark of one's own that is no .bin file into one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.benchmark.pairs import read_pairs
from brownid.benchmark.prepare import pack_adaface, pack_pairs
from brownid.databases.photographs import image_aligner
from brownid.databases.reading import write_failures


def prepare_benchmark(
    settings: Mapping[str, Any],
    *,
    pairs: Path | None,
    benchmark: Path,
    failures: Path,
    detector: Mapping[str, Any] | None = None,
) -> None:
    """Write the `.bin` file of a folder of images with a pairs file, or of AdaFace's converted folder (no pairs file).

    `failures` lists the images that failed; pairs with one of them are not in the benchmark.
    """
    failed = []
    if pairs is None:
        pack_adaface(settings["folder"], benchmark)
    else:
        align = image_aligner(settings["alignment"], settings["side"], detector, settings.get("not_square"))
        listed = read_pairs(pairs, settings["folder"])
        failed = pack_pairs(listed, settings["folder"], benchmark, align, settings["maximum_failed_share"])
    write_failures(failures, failed)
