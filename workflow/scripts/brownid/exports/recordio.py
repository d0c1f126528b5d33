"""train.rec, train.idx and property: a training set in one record file, as insightface distributes them.

`brownid.databases.recordio` describes the format and reads it. Record 0 is the header of insightface's files. Then
comes one record per image, with its class, 0 to n - 1, and its encoded image, then one per identity, with the numbers
of its first image and of the one past its last. insightface, arcface_torch and CVLface read such a file by MXNet, and
so does AdaFace's convert.py.

These numbers are float32, so a set of more than 2^24 records has no header and no identities: its records are the
images, numbered from 0, which arcface_torch and CVLface read as well. train.tsv has a line `number<TAB>identity/sample
<TAB>class` per image. CVLface reads it, and would write one itself otherwise.
"""

import struct
from pathlib import Path

import numpy as np

from brownid.databases.recordio import (
    ALIGNMENT,
    BETWEEN,
    FIRST,
    IDENTITY_FLAG,
    LARGEST_LABEL,
    LAST,
    LENGTH_BITS,
    MAGIC,
    PART_HEADER,
    RECORD_HEADER,
    WHOLE,
)
from brownid.exports.rows import rows
from brownid.exports.training_set import TrainingSet
from brownid.runtime.errors import BrownidError

MAGIC_BYTES = struct.pack("<I", MAGIC)


def write(training_set: TrainingSet, folder: Path, *, shard_bytes: int, processes: int) -> None:
    """Write train.rec, train.idx, train.tsv and property into `folder`; the file is one, in one process.

    BrownidError for more classes than float32 numbers.
    """
    images, classes = len(training_set), len(training_set.classes)
    if classes > LARGEST_LABEL:
        raise BrownidError(
            f"The training set {training_set.name} has {classes} classes; a record file holds at most {LARGEST_LABEL}: "
            "choose another layout."
        )
    first = 1 if images + classes < LARGEST_LABEL else 0
    begins, ends = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    with (
        open(folder / "train.rec", "wb") as records,
        open(folder / "train.idx", "w", encoding="ascii", newline="\n") as index,
        open(folder / "train.tsv", "w", encoding="utf-8", newline="\n") as names,
    ):

        def add(number: int, payload: bytes) -> None:
            index.write(f"{number}\t{records.tell()}\n")
            records.write(framed(payload))

        if first:
            add(0, labels_alone(0, images + 1, images + 1 + classes))
        for number, row in enumerate(rows(training_set, f"writing train.rec of {training_set.name}"), start=first):
            add(number, RECORD_HEADER.pack(0, row.label, number, 0) + row.image)
            names.write(f"{number}\t{row.identity}/{row.sample}{row.suffix}\t{row.label}\n")
            begins[row.label] = begins[row.label] or number
            ends[row.label] = number + 1
        if first:
            for label in range(classes):
                number = images + 1 + label
                add(number, labels_alone(number, int(begins[label]), int(ends[label])))
    size = training_set.image_size
    (folder / "property").write_text(f"{classes},{size},{size}\n", encoding="ascii")


def labels_alone(number: int, *labels: int) -> bytes:
    """The payload of a record of two labels without an image."""
    return RECORD_HEADER.pack(IDENTITY_FLAG, 0, number, 0) + struct.pack(f"<{len(labels)}f", *labels)


def framed(payload: bytes) -> bytes:
    """A record: one part, or several, cut where the payload has the magic number at a multiple of four bytes."""
    if MAGIC_BYTES not in payload:
        return _part(WHOLE, payload)
    cuts, place = [], payload.find(MAGIC_BYTES)
    while place >= 0:
        aligned = place % ALIGNMENT == 0
        cuts += [place] if aligned else []
        place = payload.find(MAGIC_BYTES, place + (ALIGNMENT if aligned else 1))
    if not cuts:
        return _part(WHOLE, payload)
    starts, ends = [0, *(cut + ALIGNMENT for cut in cuts)], [*cuts, len(payload)]
    kinds = [FIRST, *[BETWEEN] * (len(cuts) - 1), LAST]
    return b"".join(_part(kind, payload[a:b]) for kind, a, b in zip(kinds, starts, ends, strict=True))


def _part(kind: int, content: bytes) -> bytes:
    return PART_HEADER.pack(MAGIC, kind << LENGTH_BITS | len(content)) + content + bytes(-len(content) % ALIGNMENT)
