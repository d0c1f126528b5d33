"""Benchmarks of other forms as a `.bin` file, which is the one form that scoring reads."""

from collections.abc import Sequence
from pathlib import Path

from brownid.benchmark.bins import write_bin
from brownid.benchmark.memmaps import read_adaface
from brownid.benchmark.pairs import Pair
from brownid.databases.index import Sample
from brownid.databases.reading import Align, Failure, check_failures, read_aligned
from brownid.errors import BrownidError
from brownid.runtime import logger, progress
from brownid.samples import png


def pack_adaface(folder: str | Path, benchmark: str | Path) -> None:
    """Write AdaFace's converted benchmark `folder` as the file `benchmark`, each image as it was."""
    images, same = read_adaface(folder)
    write_bin(benchmark, list(progress(images, "pack images", "image", 2 * len(same))), same)


def pack_pairs(
    pairs: Sequence[Pair], folder: str | Path, benchmark: str | Path, align: Align, maximum_failed_share: float
) -> list[Failure]:
    """Align the images of `pairs` below `folder` and write the file `benchmark`; returns the images that failed.

    An image is read once, in however many pairs it is. A pair with an image that failed (missing, damaged, without a
    detected face) is left out: no score is made up for it. More than `maximum_failed_share` of the images (0 to 1) is a
    BrownidError.
    """
    paths = list(dict.fromkeys(path for pair in pairs for path in (pair.first, pair.second)))
    encoded, failures = _encode_all(paths, Path(folder), align)
    check_failures(failures, len(paths), folder, maximum_failed_share)
    whole = [pair for pair in pairs if pair.first in encoded and pair.second in encoded]
    if not whole:
        raise BrownidError(f"No pair of the benchmark in {folder} has two images that can be read.")
    if len(whole) < len(pairs):
        logger.warning("%d of %d pairs are left out: an image of theirs failed", len(pairs) - len(whole), len(pairs))
    images = [encoded[path] for pair in whole for path in (pair.first, pair.second)]
    write_bin(benchmark, images, [pair.same for pair in whole])
    logger.info("packed %d pairs of %d images", len(whole), len(encoded))
    return failures


def _encode_all(paths: Sequence[str], folder: Path, align: Align) -> tuple[dict[str, bytes], list[Failure]]:
    """The PNG file of each image that succeeds, by path, and the failures."""
    encoded, failures = {}, []
    for path in progress(paths, "align images", "image"):
        try:
            sample = Sample(path, path, 0)
            encoded[path] = png.encode(read_aligned(folder / path, lambda image, sample=sample: align(image, sample)))
        except BrownidError as error:
            failures.append((path, str(error)))
    return encoded, failures
