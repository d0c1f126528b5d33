"""PNG files of batches of images, encoded by threads while the next batch is made."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile

import cv2
import numpy as np

from brownid.runtime.errors import BrownidError, one_line
from brownid.samples import png

AT_ONCE = 8  # images of one task of a thread


class Spool:
    """Encoded images on the disk, in a file without a name next to `path`, until it is known which rows they are."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = TemporaryFile(dir=path.parent)  # noqa: SIM115, it is closed by `close`
        self._lengths: list[int] = []

    def fill(self, encoded: Iterable[bytes]) -> None:
        """Append these."""
        for data in encoded:
            self._file.write(data)
            self._lengths.append(len(data))

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        for length in self._lengths:
            yield self._file.read(length)

    def close(self) -> None:
        """Free the room on the disk."""
        self._file.close()


def encoded_in_threads(
    batches: Iterable[np.ndarray], image_size: int, threads: int, describe: Callable[[int], str]
) -> Generator[bytes, None, None]:
    """The PNG files of images uint8 `[b, S, S, 3]` RGB, in their order; the bytes do not depend on `threads`.

    While the next batch is made, in the thread that asks for the files, the one before is encoded (OpenCV leaves
    Python's lock). No more than these two batches and the files of one are held. An image that cannot be encoded is a
    BrownidError that begins with what `describe` says of its number.
    """

    def encode(first: int, images: np.ndarray) -> list[bytes]:
        return [_encode(image, first + place, describe) for place, image in enumerate(images)]

    pool = ThreadPoolExecutor(max(1, threads))
    try:
        before: deque[Future[list[bytes]]] = deque()
        count = 0
        for batch in batches:
            _check(batch, image_size, describe, count)
            starts = range(0, len(batch), AT_ONCE)
            tasks = [pool.submit(encode, count + start, batch[start : start + AT_ONCE]) for start in starts]
            count += len(batch)
            while before:
                yield from before.popleft().result()
            before.extend(tasks)
        while before:
            yield from before.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _check(images: np.ndarray, image_size: int, describe: Callable[[int], str], first: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (image_size, image_size, 3):
        found, wanted = f"{images.dtype} {list(images.shape)}", f"uint8 [n, {image_size}, {image_size}, 3]"
        raise BrownidError(f"{describe(first)} cannot be encoded: images must be {wanted}, not {found}.")


def _encode(image: np.ndarray, number: int, describe: Callable[[int], str]) -> bytes:
    try:
        return png.encode(image)
    except (cv2.error, MemoryError) as error:
        raise BrownidError(f"{describe(number)} cannot be encoded ({one_line(error)}).") from error
