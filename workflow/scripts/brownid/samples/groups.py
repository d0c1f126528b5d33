"""One sample of the published format: the attributes and datasets of its group, by h5py's low-level calls.

The convenient calls of h5py take three times as long, and a collection has a group for each sample.
"""

import math

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5i, h5p, h5s, h5t

from brownid.errors import BrownidError
from brownid.samples import hdf5

TEXT = h5t.py_create(hdf5.TEXT, logical=True)
SCALAR = h5s.create(h5s.SCALAR)
UNDATED = h5p.create(h5p.DATASET_CREATE)
UNDATED.set_obj_track_times(False)  # HDF5 would note the time, and equal collections would give unequal files
MOST_ABSENT = 64  # times a file's size that a column may have, whose absent rows take no space in it
# the states of an attribute that names a network: not there, a name, a text of no length
MISSING, NAMED, EMPTY = range(3)


class StoredColumn:
    """A column that goes into a dataset `[1, ...]` of each sample."""

    def __init__(self, name: str, values: np.ndarray, absent: np.ndarray) -> None:
        self._name = name.encode()
        self._values = np.ascontiguousarray(values)
        self._present = ~absent
        self._type = h5t.py_create(values.dtype)
        self._space = h5s.create_simple((1, *values.shape[1:]))

    def write(self, sample: h5g.GroupID, row: int) -> None:
        """Write the row into a sample's group, unless it is absent."""
        if self._present[row]:
            dataset = h5d.create(sample, self._name, self._type, self._space, UNDATED)
            dataset.write(h5s.ALL, h5s.ALL, self._values[row : row + 1])


class FoundColumn:
    """A column `[count, ...]` that the datasets of the samples are read into; absent rows are NaN, or zero."""

    def __init__(self, name: str, count: int) -> None:
        self.values: np.ndarray | None = None  # what the first sample allocates
        self.seen = np.zeros(count, dtype=bool)
        self._name = name

    def read(self, sample: h5g.GroupID, row: int, where: str) -> None:
        """Read a sample's dataset into the row; `where` begins what an error says."""
        dataset = h5d.open(sample, self._name.encode())
        shape, kind = dataset.shape, dataset.dtype
        if shape is None or len(shape) < 2 or shape[0] != 1 or not np.issubdtype(kind, np.number):
            found = f"the type {kind} and shape {list(shape or ())}"
            raise BrownidError(f"{where}: {self._name} has {found}, not numbers [1, ...].")
        if dataset.get_offset() is None:  # it is not one piece of this file, as those of published files are
            hdf5.check_storage(dataset)
        if self.values is None:
            self._check_size(dataset, math.prod(shape) * kind.itemsize, where)
            self.values = np.empty((len(self.seen), *shape[1:]), dtype=kind)
            self.values.fill(np.nan if np.issubdtype(kind, np.floating) else 0)
        if self.values.shape[1:] != shape[1:] or self.values.dtype != kind:
            theirs = f"{self.values.dtype} {list(self.values.shape[1:])}"
            raise BrownidError(f"{where}: {self._name} is {kind} {list(shape[1:])}, others are {theirs}.")
        dataset.read(h5s.ALL, h5s.ALL, self.values[row : row + 1])
        self.seen[row] = True

    def _check_size(self, dataset: h5d.DatasetID, row_bytes: int, where: str) -> None:
        """Refuse a column that is longer than any file of this size would have it, most of whose rows are absent."""
        size = h5i.get_file_id(dataset).get_filesize()
        if len(self.seen) * row_bytes > MOST_ABSENT * size + hdf5.UNWRITTEN_BYTES:
            raise BrownidError(
                f"{where}: {self._name} has {row_bytes} bytes, which for all {len(self.seen)} samples is more than a"
                f" file of {size} bytes has; make the file again."
            )


def write_name(sample: h5g.GroupID, attribute: bytes, name: str, state: int) -> None:
    """Write an attribute that names a network, in this state."""
    if state != MISSING:
        h5a.create(sample, attribute, TEXT, SCALAR).write(np.array(name if state == NAMED else "", dtype=object))


def read_name(sample: h5g.GroupID, attribute: bytes) -> tuple[str, int]:
    """The text of such an attribute, and its state."""
    if not h5a.exists(sample, attribute):
        return "", MISSING
    stored = h5a.open(sample, attribute)
    if stored.get_space().get_simple_extent_type() == h5s.NULL:
        return "", EMPTY
    if math.prod(stored.shape) != 1:
        raise ValueError(f"the attribute {attribute.decode()} has {math.prod(stored.shape)} values")
    value = np.empty(stored.shape, dtype=stored.dtype)
    stored.read(value)
    value = value.item()
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return value, NAMED if value else EMPTY


def sub_groups(group: h5g.GroupID) -> list[str]:
    """The names of the groups in a group, in its own order; other members are passed over."""
    return [name.decode() for name in group if isinstance(h5py.h5o.open(group, name), h5g.GroupID)]
