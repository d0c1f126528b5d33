"""Turn a benchmark of one's own into a .bin file of the crops that a network reads."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brownid.databases.index import Sample
from brownid.databases.reading import Align, image_aligner, write_failures
from brownid.runtime.errors import BrownidError
from brownid.verification.bins import read_adaface, read_bin
from brownid.verification.pairs import read_pairs
from brownid.verification.prepare import pack_adaface, pack_crops, pack_pairs


def prepare_benchmark(
    settings: Mapping[str, Any],
    *,
    pairs: Path | None,
    benchmark: Path,
    failures: Path,
    source: Path | None = None,
    detector: Mapping[str, Any] | None = None,
) -> None:
    """Write the `.bin` file of a folder of images with a pairs file, of AdaFace's converted folder, or of another .bin.

    The images become crops on `settings["alignment"]["to"]` of `settings["side"]` pixels (see `image_aligner`); those
    of AdaFace's folder stay as they are where its `alignment` is None. `source` is the other .bin file. `failures`
    lists the images that failed; pairs with one of them are not in the benchmark.
    """
    failed = []
    if pairs is None and settings["alignment"] is None:
        pack_adaface(settings["folder"], benchmark)
    else:
        share, align = settings["maximum_failed_share"], _aligner(settings, detector)
        if pairs is not None:
            failed = pack_pairs(read_pairs(pairs, settings["folder"]), settings["folder"], benchmark, align, share)
        else:
            read, place = (read_adaface, settings["folder"]) if source is None else (read_bin, source)
            encoded, same = read(place)
            failed = pack_crops(encoded, same, place, benchmark, align, share)
    write_failures(failures, failed)


def _aligner(settings: Mapping[str, Any], detector: Mapping[str, Any] | None) -> Align:
    """What makes the crops: none of a smaller one, unless `enlarge` says so, as that would be another benchmark."""
    alignment, side, not_square = settings["alignment"], settings["side"], settings.get("not_square")
    align = image_aligner(alignment, side, detector, not_square)
    if settings.get("enlarge") or (alignment is not None and alignment["template"] is None):
        return align
    used = min if not_square == "crop" else max

    def checked(image: np.ndarray, sample: Sample) -> np.ndarray:
        if used(image.shape[:2]) < side:
            raise BrownidError(
                f"it is {image.shape[1]} x {image.shape[0]} pixels, and the network reads {side}: set `enlarge` of the "
                "benchmark to score enlarged crops"
            )
        return align(image, sample)

    return checked


if __name__ == "__main__":
    alignment = snakemake.config["benchmarks"][snakemake.wildcards.benchmark]["alignment"] or {}
    run(prepare_benchmark, snakemake, detector=snakemake.config["detectors"].get(alignment.get("detector")))
