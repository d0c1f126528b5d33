"""Benchmark files in insightface's `.bin` format: a pickle of encoded images and of a same/different list.

A pickle is a program. This reader runs none of it: the unpickler knows the containers, numbers and byte strings of the
pickle format itself, and for the few names that insightface's files use (numpy arrays, and the `_codecs.encode` by
which protocol 2 writes bytes) it has stand-ins of its own that only hold data. Any other name is refused.
"""

import io
import math
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.pickles import RefusedError, check_opcodes

_PROTOCOL = 4  # written since Python 3.4; insightface's own readers load it
_SCALAR_TYPES = {"u1": np.uint8, "b1": np.bool_}  # the only element types that a benchmark file needs


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

    Reads files of Python 2 and 3, images as byte strings or as one-dimensional numpy uint8 arrays. Raises BrownidError
    naming the file when it is missing, truncated, no pickle, names code, or when images and labels do not fit.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BrownidError(f"The benchmark file {path} cannot be read: {error.strerror}.") from error
    try:
        check_opcodes(data, len(data))
        content = _DataUnpickler(io.BytesIO(data), encoding="bytes").load()
    except RefusedError as error:
        raise BrownidError(f"The benchmark file {path} was refused, nothing in it was executed: {error}.") from error
    # A damaged pickle can fail in any way that its opcodes can: all of them mean the same to the user.
    except Exception as error:
        raise BrownidError(
            f"The benchmark file {path} is truncated or no insightface .bin file ({type(error).__name__}: {error}); "
            "fetch it again."
        ) from error
    return _checked(path, content)


class _Frozen:
    """Base of the stand-ins: a pickle can neither set their attributes nor give them a state."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise RefusedError("it changes an object that must stay as it is")


class _Encode(_Frozen):
    """`_codecs.encode(text, 'latin1')`: how protocol 2 of Python 3 writes a byte string."""

    __slots__ = ()

    def __call__(self, text: object, encoding: object = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1", "latin-1", b"latin-1"):
            raise RefusedError("it encodes something else than a latin-1 byte string")
        return text.encode("latin-1")


class _ArrayType(_Frozen):
    """`numpy.ndarray`, which pickles only name."""

    __slots__ = ()


class _Dtype:
    """`numpy.dtype(name, ...)` of one byte an element."""

    __slots__ = ("type",)

    def __init__(self, name: object = None, *_):
        name = name.decode("latin-1") if isinstance(name, bytes) else name
        if name not in _SCALAR_TYPES:
            raise RefusedError(f"it holds a numpy array of type {name!r}, where images are uint8")
        self.type = _SCALAR_TYPES[name]

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: meaningless for one-byte elements."""


class _Array:
    """A numpy array under construction: `_reconstruct(...)`, whose state follows."""

    __slots__ = ("values",)

    def __init__(self, *_):
        self.values = np.empty(0, np.uint8)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise RefusedError("it holds a numpy array with an unknown state")
        _, shape, dtype, column_major, raw = state
        self.values = _values(raw, dtype, shape, column_major)


class _FromBuffer(_Frozen):
    """`_frombuffer(data, dtype, shape, order)`: how protocol 5 writes a numpy array."""

    __slots__ = ()

    def __call__(self, raw: object, dtype: object, shape: object, order: object) -> _Array:
        array = _Array()
        array.values = _values(raw, dtype, shape, order in ("F", b"F"))
        return array


class _Reconstruct(_Frozen):
    __slots__ = ()

    def __call__(self, *_) -> _Array:
        return _Array()


class _MakeDtype(_Frozen):
    __slots__ = ()

    def __call__(self, *arguments) -> _Dtype:
        return _Dtype(*arguments)


class _Scalar(_Frozen):
    """`numpy.core.multiarray.scalar(dtype, data)`: a label kept as a numpy bool."""

    __slots__ = ()

    def __call__(self, dtype: object, raw: object) -> int:
        return int(_values(raw, dtype, (), False))


_KNOWN_NAMES = {
    ("_codecs", "encode"): _Encode(),
    ("numpy", "ndarray"): _ArrayType(),
    ("numpy", "dtype"): _MakeDtype(),
    **{
        (f"numpy.{core}.multiarray", name): stand_in
        for core in ("core", "_core")
        for name, stand_in in (("_reconstruct", _Reconstruct()), ("scalar", _Scalar()))
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer() for core in ("core", "_core")},
}


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """The stand-in of a known name; `RefusedError` for every other one, without importing anything."""
        if (module, name) not in _KNOWN_NAMES:
            raise RefusedError(f"it names {module}.{name}, and a benchmark holds only images and labels")
        return _KNOWN_NAMES[module, name]

    def persistent_load(self, key: object) -> object:
        """Refused: a benchmark refers to nothing outside its file."""
        raise RefusedError("it refers to an object outside the file")


def _values(raw: object, dtype: object, shape: object, column_major: object) -> np.ndarray:
    raw = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise RefusedError("it holds a numpy array whose content is not raw bytes")
    if not all(type(size) is int and size >= 0 for size in shape) or math.prod(shape) != len(raw):
        raise RefusedError("it holds a numpy array whose shape and content do not fit")
    return np.frombuffer(bytes(raw), dtype.type).reshape(shape, order="F" if column_major else "C")


def _checked(path: str | Path, content: object) -> tuple[list[bytes], np.ndarray]:
    def refuse(problem: str) -> BrownidError:
        return BrownidError(f"The benchmark file {path} is not an insightface .bin file: {problem}.")

    if not isinstance(content, tuple | list) or len(content) != 2:
        raise refuse("it does not hold one list of images and one of labels")
    images, labels = content
    labels = labels.values.tolist() if isinstance(labels, _Array) else labels
    if not isinstance(images, list | tuple) or not isinstance(labels, list | tuple):
        raise refuse("it does not hold one list of images and one of labels")
    encoded = []
    for number, image in enumerate(images):
        image = image.values if isinstance(image, _Array) else image
        if isinstance(image, np.ndarray):
            image = image.tobytes() if image.ndim == 1 and image.dtype == np.uint8 else None
        if not isinstance(image, bytes | bytearray) or not image:
            raise refuse(f"image {number} is not an encoded image")
        encoded.append(bytes(image))
    if any(type(label) not in (bool, int) or label not in (0, 1) for label in labels):
        raise refuse("its labels are not all true or false")
    if len(encoded) % 2:
        raise refuse(f"it holds an odd number of images ({len(encoded)}), where each pair has two")
    if len(encoded) != 2 * len(labels):
        raise refuse(f"it holds {len(encoded)} images ({len(encoded) // 2} pairs) and {len(labels)} labels")
    return encoded, np.array(labels, dtype=bool)
