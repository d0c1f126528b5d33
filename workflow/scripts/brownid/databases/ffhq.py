"""FFHQ by its metadata: which image is which, how it may be used, and where the face is.

The file ffhq-dataset-v2.json of https://github.com/NVlabs/ffhq-dataset: an object with one entry per image, "0" to
"69999", of `category` (training or validation), `metadata` (author, licence) and, for each of the three sets of files,
`file_path` below the dataset's folder and 68 landmarks in those pixels (the thumbnails have none).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.listing import distinct_keys, key_of
from brownid.databases.reading import LANDMARKS, advice_on_root, five_of_68, image_exists, landmark_text
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

PROTOCOL = "ffhq"
GROUPS = ("training", "validation")
SETS = {"aligned": "image", "thumbnails": "thumbnail", "in_the_wild": "in_the_wild"}
ATTRIBUTES = ("author", "license", "license_url", "photo_url")


def index_ffhq(root: str | Path, index: str | Path, metadata: str | Path, images: str = "aligned") -> int:
    """Index one of the three sets of FFHQ below `root`; returns the number of images.

    `images`: `aligned` (images1024x1024), `thumbnails` (128 x 128) or `in_the_wild`. Every image is a person of its
    own, with the number that the dataset gives it. Images that are not there are left out and counted in the log.
    BrownidError where the file is not FFHQ's, or none of its images is there.
    """
    entries = _read(metadata)
    samples: list[Sample] = []
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}  # paths
    for number, entry in entries.items():
        try:
            sample = _sample(int(number), entry, SETS[images])
            groups[entry["category"]].append(sample.path)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            reason = str(error) if isinstance(error, ValueError) else repr(error)
            raise BrownidError(f"{metadata}: entry {number!r} is not as in ffhq-dataset-v2.json ({reason}).") from None
        samples.append(sample)
    present = {sample.path for sample in samples if image_exists(Path(root) / sample.path)}
    if not present:
        raise BrownidError(
            f"None of the {len(samples)} images of {metadata} is below {root}; {advice_on_root(root, samples[0].path)}."
        )
    if len(present) < len(samples):
        missing = len(samples) - len(present)
        logger.warning("%d of %d images are not below %s and are left out", missing, len(samples), root)
    keys = distinct_keys(sample.path for sample in samples)
    DatabaseIndex.create(
        index,
        [replace(sample, key=keys[sample.path]) for sample in samples if sample.path in present],
        {PROTOCOL: {group: [keys[path] for path in paths if path in present] for group, paths in groups.items()}},
    )
    logger.info("indexed %d images below %s", len(present), root)
    return len(present)


def _sample(number: int, entry: Mapping[str, Any], name: str) -> Sample:
    file = entry[name]
    meta = {key: str(entry["metadata"][key]) for key in ATTRIBUTES if key in entry.get("metadata", {})}
    if LANDMARKS in file:
        if file[LANDMARKS] is None:
            raise ValueError(f"the face_landmarks of its {name} are not 68 pairs of numbers")
        meta[LANDMARKS] = file[LANDMARKS]
    return Sample(key_of(file["file_path"]), file["file_path"], number, meta)


def _read(path: str | Path) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file, object_hook=_shortened)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BrownidError(f"{path}: this is not readable as FFHQ's metadata ({error}).") from None
    if not isinstance(entries, dict) or not entries:
        raise BrownidError(f"{path}: this is no metadata of FFHQ: it must be an object with an entry for each image.")
    return entries


def _shortened(entry: dict[str, Any]) -> dict[str, Any]:
    """An object of the file with five landmarks instead of 68, while the file is read: or it would take gigabytes.

    They come under another key, as text, or as None where they are no landmarks: the entry's number is not known here.
    """
    entry.pop(LANDMARKS, None)
    if "face_landmarks" in entry:
        entry[LANDMARKS] = _five(entry.pop("face_landmarks"))
    return entry


def _five(points: object) -> str | None:
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return landmark_text(five_of_68(array)) if array.shape == (68, 2) else None
