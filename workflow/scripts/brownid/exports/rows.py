"""The rows of a training set one at a time, as the layouts of single images write them."""

import io
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from brownid.exports.training_set import TrainingSet
from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.process import progress

SUFFIXES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg"}  # by the first bytes of a file


class Row(NamedTuple):
    """One image with what is known of it."""

    label: int  # its class, 0 to n - 1
    identity: str  # the name of its class
    sample: str
    dataset: str  # the entry that it came from
    image: bytes  # encoded

    @property
    def suffix(self) -> str:
        """The suffix of the image's file: .png or .jpg."""
        suffix = suffix_of(self.image)
        if suffix is None:
            raise BrownidError(
                f"The image of identity {self.identity}, sample {self.sample}, is neither PNG nor JPEG; make it again."
            )
        return suffix


def suffix_of(image: bytes) -> str | None:
    """The suffix of an encoded image that begins with these bytes; None for another format than PNG and JPEG."""
    return next((suffix for start, suffix in SUFFIXES.items() if image.startswith(start)), None)


def side_of(image: bytes) -> int:
    """The side in pixels of an encoded square image, from its header; BrownidError with the reason for any other."""
    if suffix_of(image) is None:
        raise BrownidError("this is neither a PNG nor a JPEG image")
    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "JPEG")) as opened:
            width, height = opened.size
    except (OSError, ValueError, SyntaxError) as error:
        raise BrownidError(f"the image is damaged ({one_line(error)})") from None
    if width != height:
        raise BrownidError(f"the image has {width} x {height} pixels, but those of a training set are square")
    return width


def rows(training_set: TrainingSet, description: str) -> Iterator[Row]:
    """The rows of a training set in its order, with a progress bar of this description."""
    for block in progress(training_set.blocks(0, len(training_set)), description, "block"):
        columns = (block.labels.tolist(), block.identities, block.samples, block.datasets, block.images)
        for label, identity, sample, dataset, image in zip(*columns, strict=True):
            yield Row(label, identity, sample, dataset, bytes(image))
