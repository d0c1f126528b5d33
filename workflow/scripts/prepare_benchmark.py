"""Turn a benchmark of one's own into a .bin file of the crops that a network reads."""

from brownid.runtime.process import check_failures, logger, progress, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from brownid.databases.decoding import decode_rgb
from brownid.databases.index import Sample
from brownid.databases.reading import Align, Failure, aligned, image_aligner, load_image, write_failures
from brownid.runtime.errors import BrownidError
from brownid.samples import png
from brownid.verification.bins import read_adaface, read_bin, write_bin
from brownid.verification.pairs import Pair, read_pairs
from brownid.verification.persons import first_number, inferred_persons, persons_of_pairs, write_persons


def prepare_benchmark(
    settings: Mapping[str, Any],
    *,
    pairs: Path | None,
    benchmark: Path,
    persons: Path,
    failures: Path,
    source: Path | None = None,
    detector: Mapping[str, Any] | None = None,
) -> None:
    """Write the `.bin` file of a folder of images with a pairs file, of AdaFace's converted folder, or of another .bin.

    The images become crops on `settings["alignment"]["to"]` of `settings["image_size"]` pixels (`image_aligner`); those
    of AdaFace's folder stay as they are where its `alignment` is None. `source` is the other .bin file. `persons` is
    the table of the persons on the pairs, `failures` lists the images that failed; pairs with one of them are not in
    the benchmark.
    """
    failed: list[Failure] = []
    if pairs is None and settings["alignment"] is None:
        shown = pack_adaface(settings["folder"], benchmark)
    else:
        share, align = settings["maximum_failed_share"], _aligner(settings, detector)
        if pairs is not None:
            shown, failed = pack_pairs(
                read_pairs(pairs, settings["folder"]), settings["folder"], benchmark, align, share
            )
        else:
            read, place = (read_adaface, settings["folder"]) if source is None else (read_bin, source)
            encoded, same = read(place)
            shown, failed = pack_crops(encoded, same, place, benchmark, align, share)
    write_persons(persons, first_number(persons.name.partition(".")[0]) + shown)
    write_failures(failures, failed)


def _aligner(settings: Mapping[str, Any], detector: Mapping[str, Any] | None) -> Align:
    """Function that makes the crops; smaller images are enlarged only with `enlarge`, which changes the benchmark."""
    alignment, image_size, not_square = settings["alignment"], settings["image_size"], settings.get("not_square")
    align = image_aligner(alignment, image_size, detector, not_square)
    if settings.get("enlarge") or (alignment is not None and alignment["template"] is None):
        return align
    used = min if not_square == "crop" else max

    def checked(image: np.ndarray, sample: Sample) -> np.ndarray:
        if used(image.shape[:2]) < image_size:
            raise BrownidError(
                f"it is {image.shape[1]} x {image.shape[0]} pixels, and the network reads {image_size}: set `enlarge` "
                "of the benchmark to score enlarged crops"
            )
        return align(image, sample)

    return checked


def pack_adaface(folder: str | Path, benchmark: str | Path) -> np.ndarray:
    """Write AdaFace's converted benchmark `folder` as the file `benchmark`, each image as it was.

    Returns the persons on the pairs, int64 `[n, 2]`, as far as equal images and genuine pairs tell.
    """
    images, same = read_adaface(folder)
    encoded = list(progress(images, "pack images", "image", 2 * len(same)))
    write_bin(benchmark, encoded, same)
    return inferred_persons(encoded, same)


def pack_pairs(
    pairs: Sequence[Pair], folder: str | Path, benchmark: str | Path, align: Align, maximum_failed_share: float
) -> tuple[np.ndarray, list[Failure]]:
    """Align the images of `pairs` below `folder` and write the file `benchmark`.

    Returns the persons on the pairs that were written, int64 `[n, 2]`, and the images that failed.
    An image is read once, in however many pairs it is. A pair with an image that failed (missing, damaged, without a
    detected face) is left out: no score is made up for it. More than `maximum_failed_share` of the images (0 to 1) is a
    BrownidError.
    """
    paths = list(dict.fromkeys(path for pair in pairs for path in (pair.first, pair.second)))
    readers = ((path, lambda path=path: load_image(Path(folder) / path)) for path in paths)
    whole, failures = _pack(pairs, readers, len(paths), folder, benchmark, align, maximum_failed_share)
    return persons_of_pairs(pairs)[whole], failures


def pack_crops(
    encoded: Iterable[bytes],
    same: Sequence[bool] | np.ndarray,
    source: str | Path,
    benchmark: str | Path,
    align: Align,
    maximum_failed_share: float,
) -> tuple[np.ndarray, list[Failure]]:
    """Align the encoded images of pairs, as `read_bin` and `read_adaface` give them from `source`; see `pack_pairs`.

    Persons are told as far as equal images and genuine pairs do it.
    """
    names = [f"image {number}" for number in range(2 * len(same))]
    images: list[bytes] = []

    def readers() -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
        for name, data in zip(names, encoded, strict=True):
            images.append(sha256(data).digest())
            yield name, partial(decode_rgb, data)

    pairs = [Pair(names[2 * number], names[2 * number + 1], bool(label)) for number, label in enumerate(same)]
    whole, failures = _pack(pairs, readers(), len(names), source, benchmark, align, maximum_failed_share)
    return inferred_persons(images, same)[whole], failures


def _pack(
    pairs: Sequence[Pair],
    readers: Iterable[tuple[str, Callable[[], np.ndarray]]],
    total: int,
    source: str | Path,
    benchmark: str | Path,
    align: Align,
    maximum_failed_share: float,
) -> tuple[np.ndarray, list[Failure]]:
    """Write the pairs whose images, each named and read once, can all be aligned; their numbers, and the failures."""
    encoded, failures = {}, []
    for name, read in progress(readers, "align images", "image", total):
        sample = Sample(name, name, 0)
        try:
            encoded[name] = png.encode(aligned(read(), align, sample))
        except BrownidError as error:
            failures.append((name, str(error)))
    named = [(str(Path(source) / name), reason) for name, reason in failures]
    check_failures(named, total, maximum_failed_share, f"images of the benchmark in {source}")
    whole = np.flatnonzero([pair.first in encoded and pair.second in encoded for pair in pairs])
    if not len(whole):
        raise BrownidError(f"No pair of the benchmark in {source} has two images that can be read.")
    if len(whole) < len(pairs):
        logger.warning("%d of %d pairs are left out: an image of theirs failed", len(pairs) - len(whole), len(pairs))
    written = [pairs[number] for number in whole.tolist()]
    images = [encoded[name] for pair in written for name in (pair.first, pair.second)]
    write_bin(benchmark, images, [pair.same for pair in written])
    logger.info("packed %d pairs of %d images", len(whole), len(encoded))
    return whole, failures


if __name__ == "__main__":
    alignment = snakemake.config["benchmarks"][snakemake.wildcards.benchmark]["alignment"] or {}
    run(prepare_benchmark, snakemake, detector=snakemake.config["detectors"].get(alignment.get("detector")))
