"""Databases of templates, as IJB-B and IJB-C: sets of images of one person, given by lists next to the images.

Two forms of list are read. The text files that insightface hands out with its crops have lines `image template media`
(ijbc_face_tid_mid.txt) and `image x1 y1 ... x5 y5 score` (ijbc_name_5pts_score.txt); they do not say who is shown. A
CSV with the columns path, template, media and, where it is known, subject does. Without a subject the template counts
as the person, though two templates may show one: keep such a database out of training.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from brownid.databases.index import DatabaseIndex, MetaValue, Sample
from brownid.databases.listing import csv_rows, distinct_keys, path_text, read_lines
from brownid.databases.reading import LANDMARKS, advice_on_root, image_exists, landmark_text
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

PROTOCOL = "templates"
GROUP = "test"
COLUMNS = ("path", "template", "media")


def index_templates(
    root: str | Path, index: str | Path, metadata: str | Path, landmarks: str | Path | None = None
) -> int:
    """Index the images that the list `metadata` names; returns their number.

    Attributes are template, media and, from the list `landmarks`, the five landmarks. An image that is in several
    templates is a sample of the first, and counted in the log. BrownidError naming file and line for what is no list,
    and where no image is below `root`.
    """
    points = {} if landmarks is None else dict(_landmarks(Path(landmarks)))
    members: dict[str, tuple[int, dict[str, MetaValue]]] = {}
    repeated = 0
    for path, person, meta in _members(Path(metadata)):
        if path in members:
            repeated += 1
            continue
        if path in points:
            meta[LANDMARKS] = points[path]
        members[path] = (person, meta)
    if not members:
        raise BrownidError(f"{metadata}: the list names no image.")
    if not any(image_exists(Path(root) / path) for path in members):
        advice = advice_on_root(root, next(iter(members)))
        raise BrownidError(f"None of the {len(members)} images that {metadata} lists is below {root}; {advice}.")
    if repeated:
        logger.warning("%d images are in several templates and indexed with the first", repeated)
    keys = distinct_keys(members)
    samples = [Sample(keys[path], path, *member) for path, member in members.items()]
    DatabaseIndex.create(index, samples, {PROTOCOL: {GROUP: None}})
    logger.info("indexed %d images of %d templates", len(samples), len({sample.meta["template"] for sample in samples}))
    return len(samples)


def _members(file: Path) -> Iterator[tuple[str, int, dict[str, MetaValue]]]:
    """Path, person and attributes of each line."""
    lines = read_lines(file, "list")
    if file.suffix.lower() == ".csv":
        names = [name.strip().lower() for name in next(csv_rows(file, lines[:1]), [])]
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise BrownidError(f"{file}: there is no column {missing[0]!r}; needed are {', '.join(COLUMNS)}.")
        rows, first = csv_rows(file, lines[1:]), 2
        places = [names.index(name) for name in (*COLUMNS, "subject") if name in names]
    else:
        rows, first, places = (line.split() for line in lines), 1, [0, 1, 2]
    for number, row in enumerate(rows, start=first):
        try:
            path, template, media, *subject = (row[place] for place in places)
            numbers = [int(value) for value in (template, media, *subject)]
        except (IndexError, ValueError):
            raise BrownidError(
                f"{file}, line {number}: expected an image and whole numbers for template, media (and subject)."
            ) from None
        yield path_text(path), numbers[2] if subject else numbers[0], {"template": numbers[0], "media": numbers[1]}


def _landmarks(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_lines(file, "list"), start=1):
        words = line.split()
        try:
            if len(words) != 12:
                raise ValueError
            yield path_text(words[0]), landmark_text(np.array([float(word) for word in words[1:11]]).reshape(5, 2))
        except ValueError:
            raise BrownidError(f"{file}, line {number}: expected an image, ten coordinates and a score.") from None
