"""The order in which an epoch sees the images, which depends on (seed, epoch) alone."""

from collections.abc import Iterator

import numpy as np

from brownid.runtime.randomness import stream

BLOCK = 1024  # images that lie next to each other in the shards
WINDOW = 64  # blocks that are shuffled together


class ImageOrder:
    """`indices` `[n]` of all images in the order of an epoch.

    With `shuffle` "all" every order is as likely as the next. With "blocks" blocks of consecutive images are shuffled,
    and then the images of every `WINDOW` blocks: these can be read one after the other from the files, and a batch
    still comes from 64 places.
    """

    def __init__(self, images: int, shuffle: str, *, seed: int, epoch: int) -> None:
        self.windows: list[np.ndarray] = []  # first images of the blocks of each window
        if shuffle == "all":
            self.indices = stream(seed, "training/order", iteration=epoch).permutation(images)
            return
        starts = np.arange(0, images, BLOCK)
        starts = starts[stream(seed, "training/blocks", iteration=epoch).permutation(len(starts))]
        self.windows = [starts[first : first + WINDOW] for first in range(0, len(starts), WINDOW)]
        parts = []
        for number, window in enumerate(self.windows):
            inside = np.concatenate([np.arange(start, min(start + BLOCK, images)) for start in window])
            order = stream(seed, "training/order", item=number + 1, iteration=epoch).permutation(len(inside))
            parts.append(inside[order])
        self.indices = np.concatenate(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def windows_between(self, first: int, stop: int) -> Iterator[np.ndarray]:
        """The windows that begin, in the order, from the place `first` to before `stop`."""
        for number, window in enumerate(self.windows):
            begin = self._ends[number - 1] if number else 0
            if first <= begin < stop:
                yield window
