"""Benchmark files in insightface's `.bin` format: a pickle of encoded images and of a same/different list.

A pickle is a program. This reader runs none of it: it knows the containers, numbers and byte strings of the pickle
format itself, and for the few names that such files use (numpy arrays, and the `_codecs.encode` by which protocol 2
writes bytes) it has stand-ins that only hold data. Any other name is refused.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brownid.errors import BrownidError
from brownid.files import atomic_path, check_regular
from brownid.pickles import Function, PickleReader, RefusedError, short_reason
from brownid.pickles.arrays import NAMES, Array

_PROTOCOL = 4  # written since Python 3.4; insightface's own readers load it


def write_bin(path: str | Path, encoded_images: Sequence[bytes], same: Sequence[bool]) -> None:
    """Write pairs of encoded images: pair i is images 2i and 2i+1, and `same[i]` tells whether they show one person."""
    if len(encoded_images) != 2 * len(same):
        raise BrownidError(
            f"The benchmark {path} would hold {len(encoded_images)} images and {len(same)} labels; "
            "a label belongs to two images."
        )
    content = ([bytes(image) for image in encoded_images], [bool(label) for label in same])
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(content, protocol=_PROTOCOL))


def read_bin(path: str | Path) -> tuple[list[bytes], np.ndarray]:
    """The encoded images (2n) and the same/different labels (bool `[n]`) of a `.bin` file.

    Reads files of Python 2 and 3 and of every protocol; an image is a byte string or a numpy array of its bytes (in one
    row or column, as `cv2.imencode` gives or gave them), a label 1 or 0, 1 or -1, or a truth value, of whatever type;
    both are in lists, tuples or arrays. Raises BrownidError naming the file when it is missing, truncated, no pickle,
    names code, or when images and labels do not fit.
    """
    check_regular(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BrownidError(f"The benchmark file {path} cannot be read: {error.strerror}.") from error
    try:
        return _checked(path, BenchmarkReader(data).read(), len(data))
    except BrownidError:
        raise
    except RefusedError as error:
        raise BrownidError(f"The benchmark file {path} was refused, nothing in it was executed: {error}.") from error
    # A damaged pickle can fail in any way that its opcodes can: all of them mean the same to the user.
    except Exception as error:
        raise BrownidError(
            f"The benchmark file {path} is truncated or no insightface .bin file ({short_reason(error)}); "
            "fetch it again."
        ) from error


class BenchmarkReader(PickleReader):
    """Reads lists of byte strings, numbers and numpy arrays."""

    only = "a benchmark holds only images and labels"

    def __init__(self, content: bytes):
        super().__init__(content)
        self.names |= NAMES
        self.names |= {
            ("array", "array"): Function(_array),
            ("array", "_array_reconstructor"): Function(lambda _kind, code, _format, raw: _array(code, raw)),
        }


def _array(code: object, content: object = b"") -> bytes:
    """`array.array` of single bytes, as bytes."""
    if code not in ("b", "B", "c", b"b", b"B", b"c"):
        raise RefusedError("it holds an array of something else than bytes")
    if isinstance(content, list) and all(type(value) is int and -128 <= value < 256 for value in content):
        return bytes(value % 256 for value in content)
    if not isinstance(content, bytes | bytearray):
        raise RefusedError("it holds an array whose content is not bytes")
    return bytes(content)


def _checked(path: str | Path, content: object, length: int) -> tuple[list[bytes], np.ndarray]:
    def refuse(problem: str) -> BrownidError:
        return BrownidError(f"The benchmark file {path} is not an insightface .bin file: {problem}.")

    parts = items(content)
    images, labels = (items(part) for part in parts) if parts is not None and len(parts) == 2 else (None, None)
    if images is None or labels is None:
        raise refuse("it does not hold one list of images and one of labels")
    encoded = _encoded_images(images, length)
    if not all(encoded):
        raise refuse(f"image {next(i for i, image in enumerate(encoded) if not image)} is not an encoded image")
    same = truth_values(labels)
    if same is None:
        raise refuse("its labels are not all true or false")
    if len(encoded) % 2:
        raise refuse(f"it holds an odd number of images ({len(encoded)}), where each pair has two")
    if len(encoded) != 2 * len(labels):
        raise refuse(f"it holds {len(encoded)} images ({len(encoded) // 2} pairs) and {len(labels)} labels")
    return encoded, same


def items(value: object) -> Sequence | None:
    """The items of a list, tuple or array; None where it is none of these."""
    if isinstance(value, Array | np.ndarray):
        values = value.values if isinstance(value, Array) else value
        flat = values.ndim > 1 and values.size == max(values.shape)  # a column or a row
        value = values.ravel() if flat else values
        # of rows of nothing a few bytes can declare any number
        return None if value.ndim == 0 or (value.ndim > 1 and not value.size) else list(value)
    return value if isinstance(value, list | tuple) else None


def _encoded_images(images: Sequence, length: int) -> list[bytes | None]:
    """The bytes of each image, once for those that are one object; a file of `length` bytes has no more in all."""
    known: dict[int, bytes | None] = {}
    for image in images:
        if id(image) not in known:
            known[id(image)] = encoded = _encoded(image)
            length -= 0 if encoded is None or encoded is image else len(encoded)
            if length < 0:
                raise RefusedError("it asks for more memory than its content can need")
    return [known[id(image)] for image in images]


def _encoded(image: object) -> bytes | None:
    """An image's bytes, from bytes or an array of them in one row or column; None where it is neither."""
    image = image.values if isinstance(image, Array) else image
    if isinstance(image, np.ndarray) and image.dtype.kind in "SV" and image.size == 1:
        image = image.item()
    if isinstance(image, np.ndarray):
        single = image.dtype.itemsize == 1 and image.dtype.kind in "ui" and image.size == max(image.shape, default=0)
        image = image.tobytes() if single else None
    return bytes(image) if isinstance(image, bytes | bytearray) else None


def truth_values(labels: Sequence) -> np.ndarray | None:
    """Labels of any type as bool `[n]`; None where they are not all 1 or 0, 1 or -1, or truth values."""
    numbers = [_label(label) for label in labels]
    return np.array(numbers) == 1 if set(numbers) <= {0, 1} or set(numbers) <= {-1, 1} else None


def _label(label: object) -> int | None:
    """A label as a number of Python's own; None where it is none."""
    label = label.values if isinstance(label, Array) and label.size == 1 else label
    if isinstance(label, np.ndarray | np.generic) and label.size == 1:
        label = label.item()
    return label if type(label) in (bool, int) or (type(label) is float and label in (-1, 0, 1)) else None
