"""An LMDB file, in the structure of HSFace and VFace on the Hugging Face Hub.

train.lmdb is one file without a lock file: open it by `lmdb.open(path, subdir=False, readonly=True, lock=False)`. A key
is the number of a row in ASCII, "0" for the first; its value is a msgpack array of the encoded image and its class, 0
to n - 1. Three more keys have msgpack values too: `__keys__`, the list of the keys of all images; `__len__`, the number
of images; and `__classnum__`, the number of classes. The data loaders of Vec2Face and of
SOTA-Face-Recognition-Train-and-Test read it.
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brownid.exports.rows import rows
from brownid.exports.training_set import TrainingSet, sizes_in_blocks
from brownid.runtime.errors import BrownidError, pip_install

ROWS_PER_TRANSACTION = 1000
ARRAY_2, ARRAY_32 = 0x92, 0xDD  # what msgpack's arrays begin with
PAGE = 4096
PROBE = 16 * 2**20  # bytes
SPARE = 64 * 2**20  # bytes of address space


def write(training_set: TrainingSet, folder: Path, *, shard_bytes: int, processes: int) -> None:
    """Write train.lmdb into `folder`; it is one file, written by one process.

    Memory grows by some 20 bytes per image: the format stores all keys in one value. BrownidError without the library
    lmdb.
    """
    try:
        import lmdb
    except ImportError:
        raise BrownidError(
            f"The layout lmdb needs the Python package lmdb: run `make lmdb` in the clone, or `{pip_install('lmdb')}`."
        ) from None
    path = folder / "train.lmdb"
    images, classes = len(training_set), len(training_set.classes)
    with _system_errors(lmdb, path):
        # The caller waits until the file is on the disk.
        file = lmdb.open(str(path), subdir=False, map_size=_bound(training_set), lock=False, sync=False)
        try:
            _write_rows(file, training_set)
            with file.begin(write=True) as transaction:
                keys = bytearray(struct.pack(">BI", ARRAY_32, images))
                for number in range(images):
                    keys += packed(_key(number))
                transaction.put(b"__keys__", keys)
                transaction.put(b"__len__", packed(images))
                transaction.put(b"__classnum__", packed(classes))
        finally:
            file.close()


def _write_rows(file: Any, training_set: TrainingSet) -> None:
    transaction = file.begin(write=True)
    try:
        for number, row in enumerate(rows(training_set, f"writing train.lmdb of {training_set.name}")):
            if number % ROWS_PER_TRANSACTION == 0:
                transaction.commit()
                transaction = file.begin(write=True)
            transaction.put(_key(number), bytes([ARRAY_2]) + packed(row.image) + packed(row.label))
        transaction.commit()
    finally:
        transaction.abort()


def _key(number: int) -> bytes:
    return str(number).encode("ascii")


def _bound(training_set: TrainingSet) -> int:
    """Bytes that the file cannot exceed, each image in pages of its own and the tree half full: it is address space."""
    return sum(int(part.sum()) for part in sizes_in_blocks(training_set)) + 3 * PAGE * len(training_set) + SPARE


def packed(value: bytes | int) -> bytes:
    """A byte string or a number that is not negative in msgpack, see its specification: bin 8 to 32, uint 8 to 64."""
    if isinstance(value, bytes):
        size = len(value)
        if size < 1 << 8:
            return struct.pack(">BB", 0xC4, size) + value
        return (struct.pack(">BH", 0xC5, size) if size < 1 << 16 else struct.pack(">BI", 0xC6, size)) + value
    if value < 1 << 7:
        return struct.pack(">B", value)
    for code, form, bits in ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32)):
        if value < 1 << bits:
            return struct.pack(form, code, value)
    return struct.pack(">BQ", 0xCF, value)


@contextmanager
def _system_errors(lmdb: Any, path: Path) -> Iterator[None]:
    """Turn the library's errors of the system, such as a full disk, into OSError."""
    try:
        yield
    except lmdb.Error as error:
        code = errno.ENOSPC if isinstance(error, lmdb.DiskError) else getattr(error, "code", None) or 0
        if code <= 0:  # of the library itself
            raise
        if code == errno.EIO:  # also said of a write that a full disk cut short
            _fill(path.with_suffix(".probe"))
        raise OSError(code, os.strerror(code), str(path)) from error


def _fill(path: Path) -> None:
    """Raise OSError with the true reason where a transaction's bytes cannot be written next to the file."""
    with open(path, "wb") as file:
        file.write(bytes(PROBE))
    path.unlink()
