"""Benchmark files: insightface's `.bin` format, and the memory maps of AdaFace's scripts."""

import math
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path, check_regular
from brownid.runtime.text import read_json
from brownid.samples import png
from brownid.weights.pickled_arrays import NAMES, Array, is_shape
from brownid.weights.unpickler import Function, PickleReader, RefusedError, is_name, short_reason

_PROTOCOL = 4  # written since Python 3.4; insightface's own readers load it


def write_bin(path: str | Path, encoded_images: Sequence[bytes], same: Sequence[bool] | np.ndarray) -> None:
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
    read = _encoded_images(images, length)
    encoded = [image for image in read if image]
    if len(encoded) < len(read):
        raise refuse(f"image {next(i for i, image in enumerate(read) if not image)} is not an encoded image")
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


def _label(label: object) -> float | None:
    """A label as a number of Python's own; None where it is none."""
    label = label.values if isinstance(label, Array) and label.size == 1 else label
    if isinstance(label, np.ndarray | np.generic) and label.size == 1:
        label = label.item()
    if isinstance(label, bool | int | float) and type(label) in (bool, int, float):
        return label if type(label) is not float or label in (-1, 0, 1) else None
    return None


DTYPES = ("float32", "float64", "float16")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_adaface(folder: str | Path) -> tuple[Iterator[bytes], np.ndarray]:
    """The images of a converted benchmark as PNG files (2n, one at a time), and its labels bool `[n]`.

    The values are those of 8-bit images, and come back as these exactly. BrownidError naming the file that is missing,
    damaged, or does not fit the others.
    """
    folder = Path(folder)
    values = _memory_map(folder)
    labels = _labels(folder.with_name(f"{folder.name}_list.npy"))
    if len(values) != 2 * len(labels):
        raise BrownidError(
            f"{folder} holds {len(values)} images and {len(labels)} labels; a label belongs to two images."
        )
    return (png.encode(_pixels(folder, number, image)) for number, image in enumerate(values)), labels


def _memory_map(folder: Path) -> np.ndarray:
    data = folder / "memfile" / "mem_file.dat"
    settings = data.with_name(f"{data.name}.conf")
    if not data.is_file() or not settings.is_file():
        raise BrownidError(
            f"{folder} is no converted benchmark: {data} and {settings.name} are not both there. AdaFace's code makes "
            "them from its bcolz folder when it evaluates for the first time; or give the .bin file itself."
        )
    described = read_json(settings)
    try:
        shape, dtype = tuple(described["shape"]), described["dtype"]
    except (KeyError, TypeError) as error:
        raise BrownidError(f"{settings}: this does not describe a memory map ({short_reason(error)}).") from None
    if not is_shape(shape) or len(shape) != 4 or 0 in shape or shape[1] != 3 or shape[2] != shape[3]:
        raise BrownidError(f"{settings}: expected the shape [2n, 3, S, S] of images.")
    if dtype not in DTYPES:
        raise BrownidError(
            f"{settings}: expected images of {', '.join(DTYPES)}, not {dtype if is_name(dtype) else 'of another type'}."
        )
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if data.stat().st_size != expected:
        raise BrownidError(
            f"{data} has {data.stat().st_size} bytes, not the {expected} that its .conf says; copy it again."
        )
    return np.memmap(data, dtype=dtype, mode="r", shape=shape)


def _labels(path: Path) -> np.ndarray:
    """The labels in an .npy file, whose header says how many there are; objects are read as those of a .bin file."""
    if not path.is_file():
        raise BrownidError(f"{path}: the list of labels of a converted benchmark is missing.")
    try:
        with open(path, "rb") as file:
            read_header = _HEADERS[np.lib.format.read_magic(file)]
            shape, column_major, dtype = read_header(file)
            length = path.stat().st_size - file.tell()
            if dtype.hasobject:
                array = BenchmarkReader(file.read()).read()
            elif not is_shape(shape) or math.prod(shape) * dtype.itemsize != length:
                raise ValueError(f"its header promises another number of bytes than the {length} that follow")
            else:
                array = np.frombuffer(file.read(), dtype).reshape(shape, order="F" if column_major else "C")
        found = items(array)
    # A damaged file can fail in any way that its reader can: all of them mean the same to the user.
    except Exception as error:
        raise BrownidError(f"{path}: this is no plain array of labels ({short_reason(error)}).") from error
    labels = None if found is None else truth_values(found)
    if labels is None:
        raise BrownidError(f"{path}: expected an array with one true or false for each pair.")
    return labels


def _pixels(folder: Path, number: int, image: np.ndarray) -> np.ndarray:
    """BGR [-1, 1] `[3, S, S]` as uint8 RGB `[S, S, 3]`."""
    values = np.asarray(image[::-1].transpose(1, 2, 0), dtype=np.float32)
    if not (np.abs(values) <= 1.001).all():  # nan is not, either
        raise BrownidError(f"{folder}: image {number} has values outside [-1, 1]: the memory map is damaged.")
    return np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
