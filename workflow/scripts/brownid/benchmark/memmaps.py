"""Benchmarks converted by AdaFace's scripts: a memory map of normalised images and a list of labels.

What https://github.com/mk-minchul/AdaFace (convert.py, evaluate_utils.py) leaves of lfw.bin: the folder `lfw` with
`memfile/mem_file.dat`, raw values float32 `[2n, 3, 112, 112]` in C order, colour channels BGR in [-1, 1];
`memfile/mem_file.dat.conf`, JSON with `shape` and `dtype`; and, beside the folder, `lfw_list.npy`, bool `[n]`.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from brownid.benchmark.bins import BenchmarkReader, items, truth_values
from brownid.errors import BrownidError
from brownid.pickles import is_name, short_reason
from brownid.pickles.arrays import is_shape
from brownid.samples import png
from brownid.textfiles import read_json

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
        raise BrownidError(f"{settings}: expected the shape [2n, 3, side, side] of images.")
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
