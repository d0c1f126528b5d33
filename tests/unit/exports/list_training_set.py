"""A small training set in memory: its images are random, and one holds the bytes that record files begin with."""

import io
import struct
from collections import Counter

import numpy as np
from PIL import Image, PngImagePlugin

from brownid.databases.recordio import MAGIC, RECORD_HEADER
from brownid.exports.training_set import Block, TrainingSet

SIDE, CLASSES, SAMPLES = 8, 5, ("reference", "augmentation_0", "augmentation_1")


def encoded(number, size=(SIDE, SIDE), form="PNG", **options):
    """A random image."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def encoded_with_magic():
    """A PNG image that has the magic number of record files in a comment, at multiples of four bytes and elsewhere."""
    magic = struct.pack("<I", MAGIC)
    for padding in range(4):
        text = PngImagePlugin.PngInfo()
        text.add(b"teXt", b"x" * padding + magic + magic + b"y" + magic)
        image = encoded(99, pnginfo=text)
        if (RECORD_HEADER.size + image.index(magic)) % 4 == 0:
            return image
    raise AssertionError


class ListTrainingSet(TrainingSet):
    """Rows in a list, in blocks of two."""

    def __init__(self, rows, classes):
        self.name, self.image_size, self.rows, self.classes = "tiny", SIDE, rows, classes
        self.datasets = Counter(row["dataset"] for row in rows)

    def __len__(self):
        return len(self.rows)

    def sizes(self, start=0, stop=None):
        return np.array([len(row["image"]) for row in self.rows[start:stop]], np.int64)

    def blocks(self, start=0, stop=None):
        stop = len(self) if stop is None else stop
        for begin in range(start, stop, 2):
            part = self.rows[begin : min(begin + 2, stop)]
            yield Block(
                labels=np.array([row["label"] for row in part]),
                identities=[self.classes[row["label"]] for row in part],
                **{f"{name}s": [row[name] for row in part] for name in ("sample", "dataset", "image")},
            )


def tiny_set():
    """Five identities of three images each."""
    images = [encoded(number) for number in range(CLASSES * len(SAMPLES))]
    images[4] = encoded_with_magic()
    rows = [
        {"label": label, "sample": sample, "dataset": "lang" if sample == "reference" else "disp"}
        for label in range(CLASSES)
        for sample in SAMPLES
    ]
    rows = [row | {"image": memoryview(image)} for row, image in zip(rows, images, strict=True)]
    return ListTrainingSet(rows, [f"lang/{label:05d}" for label in range(CLASSES)])
