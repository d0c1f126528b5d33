"""Scores of a face-recognition network on benchmark files."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from brownid.databases.decoding import decode_rgb
from brownid.databases.plain import decode_plain
from brownid.recognition.embedding import embed_images
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import check_failures, logger
from brownid.verification.accuracy import fold_decisions, folded_accuracy, squared_distances
from brownid.verification.bins import read_bin
from brownid.verification.error_rates import TarAtFar, d_prime, equal_error_rate, roc, tar_at_far
from brownid.verification.pair_scores import PairScores
from brownid.verification.persons import first_number, inferred_persons, read_persons

FOLDS = 10
DECODED_AT_ONCE = 256  # images of a benchmark
FALSE_ACCEPT_RATES = (0.1, 0.01, 0.001, 0.0001)

Embed = Callable[[np.ndarray], np.ndarray]  # uint8 RGB [n, S, S, 3] -> embeddings [n, E]


def score_network(
    network: nn.Module,
    bins: Mapping[str, str | Path],
    *,
    image_size: int,
    persons: Mapping[str, str | Path] | None = None,
    batch_size: int = 256,
    maximum_failed_share: float = 0.0,
    rates: Sequence[float] = FALSE_ACCEPT_RATES,
    precision: str = "float32",
    threads: int = 1,
) -> tuple[dict[str, dict[str, Any]], dict[str, PairScores]]:
    """Score a network on every benchmark of `bins` (name to `.bin` file): the scores, and those of each pair, by name.

    `persons` are the tables of the persons on the pairs (`read_persons`), of benchmarks that have one. The embedding of
    an image is the sum of the unnormalised embeddings of image and mirror image, normalised. `threads` threads decode.
    """

    def embed(images: np.ndarray) -> np.ndarray:
        return embed_images(network, images, batch_size, mirror=True, precision=precision).numpy()

    scored = {
        name: score_benchmark(
            embed,
            path,
            image_size=image_size,
            persons=(persons or {}).get(name),
            first_person=first_number(name),
            maximum_failed_share=maximum_failed_share,
            rates=rates,
            threads=threads,
        )
        for name, path in bins.items()
    }
    return {name: scores for name, (scores, _) in scored.items()}, {name: pairs for name, (_, pairs) in scored.items()}


def score_benchmark(
    embed: Embed,
    path: str | Path,
    *,
    image_size: int,
    persons: str | Path | None = None,
    first_person: int = 0,
    maximum_failed_share: float = 0.0,
    rates: Sequence[float] = FALSE_ACCEPT_RATES,
    threads: int = 1,
) -> tuple[dict[str, Any], PairScores]:
    """The scores of one `.bin` file, see `score_pairs`, with `failures`: images that cannot be scored; and its pairs.

    Without a table of `persons` these are inferred from equal images and genuine pairs, and have the numbers from
    `first_person` on. An image fails that cannot be decoded, or has another side than the network reads; its pair is
    left out. More than `maximum_failed_share` of the images raises BrownidError. An image that is in several pairs is
    embedded once.
    """
    encoded, same = read_bin(path)
    rows = {data: row for row, data in enumerate(dict.fromkeys(encoded))}
    images, reasons = _decode(list(rows), image_size, threads)
    numbers = [rows[data] for data in encoded]
    failures = [(number, reasons[row]) for number, row in enumerate(numbers) if row in reasons]
    named = [(f"{path}: image {number}", reason) for number, reason in failures]
    check_failures(named, len(encoded), maximum_failed_share, f"images of the benchmark {path}")
    whole = np.ones(len(same), bool)
    whole[[number // 2 for number, _ in failures]] = False
    shown = first_person + inferred_persons(numbers, same) if persons is None else read_persons(persons, len(same))
    embeddings = np.asarray(embed(images))[numbers]
    distances = squared_distances(embeddings[0::2][whole], embeddings[1::2][whole])
    similarity = (1 - distances / 2).astype(np.float32)  # the cosine of unit vectors
    pairs = PairScores(shown[whole], same[whole], similarity)
    scores = score_pairs(embeddings[0::2][whole], embeddings[1::2][whole], same[whole], rates, str(path))
    logger.info("%s: accuracy %.4f (std %.4f), %d pairs", path, scores["accuracy"], scores["std"], scores["pairs"])
    listed = [{"image": number, "reason": reason} for number, reason in failures]
    return scores | {"failures": listed}, pairs


def score_pairs(
    first: np.ndarray,
    second: np.ndarray,
    same: np.ndarray,
    rates: Sequence[float] = FALSE_ACCEPT_RATES,
    name: str = "the pairs",
) -> dict[str, Any]:
    """All results of a verification as plain numbers for a JSON file; `name` begins warnings.

    `accuracy`, `std`, `threshold` (10 contiguous folds; of the squared distance), `stratified_accuracy` (see
    `Verification`), `fold_note` (why only that should be compared, or None), `fmr` and `fnmr` (of the decisions at the
    thresholds of the folds), `auc`, `eer`, `d_prime` (None where no score varies), `tar_at_far` (rate to `tar`, `fnmr`
    = 1 - `tar`, `threshold` as a cosine and, where there are too few impostors to measure, a `note` and None), `roc`
    (corner points), `pairs`, `genuine`, `impostors`.
    """
    distances = squared_distances(first, second)
    verification = folded_accuracy(distances, same, FOLDS, name)
    correct, _ = fold_decisions(distances, same, FOLDS)
    similarities = 1 - distances / 2  # the cosine of unit vectors
    curve = roc(similarities, same)
    corners = curve.corners()
    return {
        "accuracy": verification.accuracy,
        "std": verification.std,
        "threshold": verification.threshold,
        "accuracies": verification.accuracies.tolist(),
        "stratified_accuracy": verification.stratified_accuracy,
        "fold_note": verification.note,
        "fmr": float(1 - correct[~same].mean()),
        "fnmr": float(1 - correct[same].mean()),
        "auc": curve.area,
        "eer": equal_error_rate(curve),
        "d_prime": _finite(d_prime(similarities, same)),
        "tar_at_far": {f"{entry.far:g}": _plain(entry) for entry in tar_at_far(curve, rates)},
        "roc": {"false_accept": corners.false_accept.tolist(), "true_accept": corners.true_accept.tolist()},
        "pairs": len(same),
        "genuine": int(same.sum()),
        "impostors": curve.impostors,
    }


def _plain(entry: TarAtFar) -> dict[str, object]:
    if not entry.measurable:
        note = f"needs {entry.impostors_needed} impostor pairs, there are {entry.impostors}"
        return {"tar": None, "fnmr": None, "threshold": None, "note": note}
    # with every impostor above every genuine pair nothing is accepted, at no finite threshold
    return {"tar": entry.tar, "fnmr": entry.fnmr, "threshold": _finite(entry.threshold)}


def _finite(number: float) -> float | None:
    """The number, or None for infinity, which JSON does not have."""
    return number if np.isfinite(number) else None


def _decode(encoded: Sequence[bytes], image_size: int, threads: int) -> tuple[np.ndarray, dict[int, str]]:
    """All images uint8 RGB `[n, S, S, 3]`, black where one cannot be used, and the reasons, by row."""
    images = np.zeros((len(encoded), image_size, image_size, 3), np.uint8)
    reasons = {}
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(encoded), DECODED_AT_ONCE):
            block = encoded[start : start + DECODED_AT_ONCE]
            for row, (data, plain) in enumerate(zip(block, pool.map(decode_plain, block), strict=True), start):
                try:  # what is not plain is decoded here: one thread at a time may switch off Python's warnings
                    images[row] = _of_side(decode_rgb(data) if plain is None else plain, image_size)
                except BrownidError as error:
                    reasons[row] = str(error)
    return images, reasons


def _of_side(image: np.ndarray, image_size: int) -> np.ndarray:
    """The image, if it has the side that the network reads: crops of another side may be others in all."""
    if image.shape[:2] != (image_size, image_size):
        raise BrownidError(
            f"it has {image.shape[1]} x {image.shape[0]} pixels, and the network reads {image_size} x {image_size}: "
            "set `alignment.template` of the benchmark, and its images become the crops that each network reads"
        )
    return image
