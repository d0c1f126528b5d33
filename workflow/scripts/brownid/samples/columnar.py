"""Our collection format: one HDF5 file of column datasets, chunked, labels as dictionary codes.

Root attributes `magic`, `version`, `generator`, `recognition`, `settings` (JSON); datasets `identity` int64 [n],
`label_code` int32 [n], `label_table` text [k], `latents` [n, D], `embeddings` [n, E], `extra/<name>` [n, ...].
Every chunk carries a checksum, so that a damaged file is noticed when it is read.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from brownid.errors import BrownidError
from brownid.samples import checks, hdf5

if TYPE_CHECKING:
    from brownid.samples.collection import SampleCollection

MAGIC = "brownid_samples"
VERSION = 1
CHUNK_BYTES = 64 * 1024


def write(path: str | Path, collection: "SampleCollection") -> None:
    """Write a collection; the file appears whole or not at all."""
    with appending(path) as writer:
        writer.append(collection)


def merge(paths: Sequence[str | Path], destination: str | Path) -> None:
    """Join collections file by file, in this order, holding one in memory at a time.

    They must agree in generator, recognition network and columns, and repeat no (identity, label); else BrownidError.
    """
    from brownid.samples.collection import SampleCollection

    if not paths:
        raise BrownidError(f"{destination}: there are no collections to merge.")
    with appending(destination) as writer:
        for path in paths:
            writer.append(SampleCollection.load(path), name=str(path))


def read(path: str | Path, columns: Collection[str]) -> dict[str, object]:
    """The fields of a SampleCollection, with those of `latents`, `embeddings`, `extra` that `columns` names."""
    with hdf5.reading(path) as file:
        version = hdf5.attribute(file, "version", int)
        if version != VERSION:
            raise BrownidError(f"{path}: the format version is {version}; this brownid reads version {VERSION}.")
        missing = [name for name in ("identity", "label_code", "label_table") if name not in file]
        missing += [f"attribute {name}" for name in ("generator", "recognition") if name not in file.attrs]
        if missing:
            raise BrownidError(f"{path}: the collection lacks {', '.join(missing)}; make it again.")
        table = np.array(hdf5.texts(file, "label_table"), dtype=object)
        codes = hdf5.array(file, "label_code", np.integer, 1)
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(table):
            raise BrownidError(
                f"{path}: a label code lies outside the table of {len(table)} labels; make the file again."
            )
        wanted = {
            name: hdf5.array(file, name) for name in ("latents", "embeddings") if name in columns and name in file
        }
        extra = file.get("extra", {}) if "extra" in columns else {}
        if isinstance(extra, h5py.Dataset):
            raise BrownidError(f"{path}: extra is no group of columns; make the file again.")
        return {
            "latents": wanted.get("latents"),
            "embeddings": wanted.get("embeddings"),
            "identities": hdf5.array(file, "identity", np.integer, 1),
            "labels": table[codes].tolist(),
            "generator": hdf5.attribute(file, "generator"),
            "recognition": hdf5.attribute(file, "recognition"),
            "extra": {name: hdf5.array(extra, name) for name in extra},
            "settings": hdf5.settings(file),
        }


def check_joinable(first: "SampleCollection", other: "SampleCollection", name: str) -> None:
    """Raise BrownidError where `other` cannot stand below `first` in one collection; `name` tells the user which."""
    for what in ("generator", "recognition"):
        mine, theirs = getattr(first, what), getattr(other, what)
        if mine != theirs:
            raise BrownidError(f"{name} has the {what} {theirs!r}, the ones before it {mine!r}; they cannot be joined.")
    mine, theirs = ({key: values.shape[1:] for key, values in part.columns().items()} for part in (first, other))
    if mine != theirs:
        raise BrownidError(f"{name} has the columns {_words(theirs)}, the ones before it {_words(mine)}.")


class ColumnWriter:
    """Appends collections to an open file; `appending` makes one."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._first: SampleCollection | None = None
        self._codes: dict[str, int] = {}
        self._settings: Mapping[str, object] = {}

    def append(self, collection: "SampleCollection", name: str = "the appended collection") -> None:
        """Add the rows of `collection`; `name` is what an error calls it."""
        if self._first is None:
            self._first = collection.rows([])
            self._settings = collection.settings
        check_joinable(self._first, collection, name)
        if collection.settings != self._settings:
            self._settings = {}  # as in SampleCollection.concatenate: kept only where all agree
        codes, table = collection.label_codes
        ours = np.array([self._codes.setdefault(label, len(self._codes)) for label in table], dtype=np.int32)
        self._extend("identity", collection.identities)
        self._extend("label_code", ours[codes] if len(codes) else codes)
        for column, values in collection.columns().items():
            self._extend(f"extra/{column}" if column in collection.extra else column, values)

    def finish(self) -> None:
        """Write what is known only at the end, and check that no sample is there twice."""
        if self._first is None:
            raise BrownidError("a collection file needs at least one collection, be it empty.")
        identities, codes = self._file["identity"][:], self._file["label_code"][:]
        labels = list(self._codes)
        row = checks.repeated_row(identities, codes)
        if row is not None:
            raise BrownidError(
                f"identity {identities[row]}, label {labels[codes[row]]!r} occurs in more than one part."
            )
        self._file.create_dataset("label_table", data=labels, shape=(len(labels),), dtype=h5py.string_dtype())
        attributes = {"magic": MAGIC, "version": VERSION, "settings": hdf5.settings_text(self._settings)}
        attributes |= {"generator": self._first.generator, "recognition": self._first.recognition}
        self._file.attrs.update(attributes)

    def _extend(self, name: str, values: np.ndarray) -> None:
        if name not in self._file:
            row_shape = values.shape[1:]
            row_bytes = max(1, values.dtype.itemsize * int(np.prod(row_shape)))
            self._file.create_dataset(
                name,
                shape=(0, *row_shape),
                maxshape=(None, *row_shape),
                dtype=values.dtype,
                chunks=(max(1, CHUNK_BYTES // row_bytes), *row_shape),
                fletcher32=True,
            )
        dataset = self._file[name]
        before = len(dataset)
        dataset.resize(before + len(values), axis=0)
        dataset[before:] = values


@contextmanager
def appending(path: str | Path) -> Iterator[ColumnWriter]:
    """A writer of collections that share one file, which appears at `path` when the block ends well."""
    with hdf5.writing(path) as file:
        writer = ColumnWriter(file)
        yield writer
        writer.finish()


def _words(columns: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in columns.items()) or "none"
