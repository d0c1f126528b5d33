"""Our collection format: one HDF5 file of column datasets, written and read in blocks of rows."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.samples import checks, hdf5
from brownid.samples.checks import Samples

MAGIC = "brownid_samples"
VERSION = 1
# Of 64 KiB to 1 MiB, measured: smaller ones are slower to read, larger ones make the choice of few identities dearer.
CHUNK_BYTES = 256 * 1024
READ_AS = "read_as"  # the attribute of a dataset in half precision: the type its numbers are handed out in
PRECISIONS, COMPRESSIONS = (None, "float16"), (None, "gzip", "lzf")


@dataclass(frozen=True)
class Storage:
    """Storage of floating-point columns; `benchmarks/store.py` measures time and size."""

    precision: str | None = None  # None as they are; "float16" in half the space, relative error at most 1/2048
    compression: str | None = None  # None, "gzip" or "lzf", without loss

    def __post_init__(self) -> None:
        for name, allowed in (("precision", PRECISIONS), ("compression", COMPRESSIONS)):
            if getattr(self, name) not in allowed:
                known = " or ".join(str(value) for value in allowed if value is not None)
                raise BrownidError(f"the {name} {getattr(self, name)!r} is unknown; choose {known}, or none.")


class ColumnWriter:
    """Appends collections to an open file; `appending` makes one."""

    def __init__(self, file: hdf5.OutputFile, storage: Storage, rows: int | None) -> None:
        self._file = file
        self._storage = storage
        self._rows = rows
        self._first: Samples | None = None
        self._codes: dict[str, int] = {}
        self._settings: Mapping[str, object] = {}

    def append(self, collection: Samples, name: str = "the appended collection") -> None:
        """Add the rows of `collection`; `name` is what an error calls it."""
        if self._first is None:
            self._first = collection.rows([])
            self._settings = collection.settings
        checks.check_joinable(self._first, collection, name)
        if collection.settings != self._settings:
            self._settings = {}  # as in SampleCollection.concatenate: kept only where all agree
        codes, table = collection.label_codes
        ours = np.array([self._codes.setdefault(label, len(self._codes)) for label in table], dtype=np.int32)
        self._extend("identity", collection.identities)
        self._extend("label_code", ours[codes] if len(codes) else codes)
        for column, values in collection.columns().items():
            self._extend_column(collection, column, values, name)

    def finish(self) -> None:
        """Write what is known only at the end, and check that no sample is there twice."""
        if self._first is None:
            raise BrownidError("a collection file needs at least one collection, be it empty.")
        identities, codes = self._file["identity"][:], self._file["label_code"][:]
        labels = list(self._codes)
        repeated = checks.repeated_rows(identities, codes)
        if repeated is not None:
            row = repeated[1]
            raise BrownidError(
                f"identity {identities[row]}, label {labels[codes[row]]!r} occurs in more than one part."
            )
        self._extend("label_table", hdf5.fixed_texts(labels, "a label"))
        self._file.attrs["version"] = VERSION
        names = {"magic": MAGIC, "generator": self._first.generator, "recognition": self._first.recognition}
        for name, text in names.items():
            hdf5.set_text(self._file, name, text)
        hdf5.set_settings(self._file, self._settings)

    def _extend_column(self, collection: Samples, column: str, values: np.ndarray, name: str) -> None:
        """Add rows to `latents`, `embeddings` or an extra column, as the storage asks."""
        place = f"extra/{column}" if column in collection.extra else column
        floating = np.issubdtype(values.dtype, np.floating)
        halved = self._storage.precision == "float16" and floating and values.dtype.itemsize > 2
        stored = np.dtype(np.float16) if halved else values.dtype
        if place not in self._file:
            compression = self._storage.compression if floating else None
            self._create(place, values.shape[1:], stored, compression)
            if halved:
                hdf5.set_text(self._file[place], READ_AS, "float32")
        theirs = self._file[place].dtype
        if not np.can_cast(stored, theirs, "safe"):
            raise BrownidError(
                f"{name} has {column} in {stored}, the ones before it in {theirs}, which would lose digits: name the"
                f" collection in {stored} first."
            )
        if not halved:
            self._extend(place, values)
            return
        for start in range(0, len(values), checks.BLOCK_ROWS):
            with np.errstate(over="ignore"):
                block = values[start : start + checks.BLOCK_ROWS].astype(np.float16)
            row = checks.not_finite_row(block, absent_allowed=True)
            if row is not None:
                raise BrownidError(
                    f"{column} of {collection.describe(start + row)} holds numbers beyond 65504, the largest of"
                    " float16: store this collection without --precision."
                )
            self._extend(place, block)

    def _create(self, name: str, row_shape: tuple[int, ...], dtype: np.dtype, compression: str | None = None) -> None:
        row_bytes = max(1, dtype.itemsize * int(np.prod(row_shape)))
        chunk_rows = CHUNK_BYTES // row_bytes if self._rows is None else min(self._rows, CHUNK_BYTES // row_bytes)
        self._file.create_dataset(
            name,
            shape=(0, *row_shape),
            maxshape=(None, *row_shape),
            dtype=dtype,
            chunks=(max(1, chunk_rows), *row_shape),
            fletcher32=True,
            compression=compression,
            shuffle=compression is not None,  # bytes of equal weight side by side: only exponents compress
        )

    def _extend(self, name: str, values: np.ndarray) -> None:
        if name not in self._file:
            self._create(name, values.shape[1:], values.dtype)
        dataset = self._file[name]
        before = len(dataset)
        dataset.resize(before + len(values), axis=0)
        for start in range(0, len(values), checks.BLOCK_ROWS):
            block = values[start : start + checks.BLOCK_ROWS]
            dataset[before + start : before + start + len(block)] = block.astype(dataset.dtype, copy=False)
            self._file.check_disk()


@contextmanager
def appending(path: str | Path, storage: Storage | None = None, rows: int | None = None) -> Iterator[ColumnWriter]:
    """A writer of collections that share one file, which appears at `path` when the block ends well.

    `rows` is how many there will be, where that is known: small files are then smaller.
    """
    with hdf5.writing(path) as file:
        writer = ColumnWriter(file, storage or Storage(), rows)
        yield writer
        writer.finish()


def write(path: str | Path, collection: Samples, storage: Storage | None = None) -> None:
    """Write a collection; the file appears whole or not at all."""
    with appending(path, storage, len(collection)) as writer:
        writer.append(collection)


def read(path: str | Path, columns: Collection[str], identities: Iterable[int] | None = None) -> dict[str, object]:
    """The fields of a SampleCollection, with those of `latents`, `embeddings`, `extra` that `columns` names.

    Of the samples of these identities only, where `identities` is given; the rows of others are not read.
    """
    with _opened(path, columns) as table:
        rows = None
        if identities is not None:
            rows = checks.rows_of(table.identities, identities, f"{path}: the collection")
        return table.fields(rows)


def blocks(path: str | Path, columns: Collection[str]) -> Iterator[dict[str, object]]:
    """The fields of one SampleCollection after the other, in the file's order; an empty file gives an empty one."""
    with _opened(path, columns) as table:
        for start in range(0, max(1, len(table.identities)), checks.BLOCK_ROWS):
            yield table.fields(np.arange(start, min(start + checks.BLOCK_ROWS, len(table.identities))))


class Summary(NamedTuple):
    """What a file holds, without its rows."""

    samples: int
    identities: int  # different ones
    generator: str
    recognition: str
    shapes: dict[str, tuple[int, ...]]  # of a row of each column of numbers, by name


def summary(path: str | Path) -> Summary:
    """What a file holds; of rows in sorted order, memory grows with the identities only."""
    samples, found = 0, [np.empty(0, np.int64)]
    for numbers, _ in samples_in_blocks(path):
        samples += len(numbers)
        found.append(np.unique(numbers))
    identities = np.unique(np.concatenate(found))
    with hdf5.reading(path) as file:
        generator, recognition = (hdf5.attribute(file, name) or "" for name in ("generator", "recognition"))
    return Summary(samples, len(identities), generator, recognition, row_shapes(path))


def row_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The shape of a row of each column of numbers that a file has, by name."""
    with hdf5.reading(path) as file:
        return {name: item.shape[1:] for name, item in _columns(file).items()}


def read_range(path: str | Path, names: Collection[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """These rows (increasing) of the columns of numbers that `names` names and the file has; no others are read."""
    with hdf5.reading(path) as file:
        return {name: _rows(item, rows) for name, item in _columns(file).items() if name in names}


def samples_in_blocks(path: str | Path) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Identities int64 `[k]` and labels of all rows, in blocks, in the file's order."""
    with hdf5.reading(path) as file:
        labels = np.array(hdf5.texts(file, "label_table"), dtype=object)
        identities = hdf5.dataset(file, "identity", np.integer, 1)
        codes = hdf5.dataset(file, "label_code", np.integer, 1)
        for start in range(0, len(identities), checks.BLOCK_ROWS):
            part = np.s_[start : start + checks.BLOCK_ROWS]
            yield identities[part].astype(np.int64), labels[codes[part]].tolist()


def _columns(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets of `latents`, `embeddings` and the extra columns, those that are there."""
    if hdf5.attribute(file, "magic") != MAGIC or hdf5.attribute(file, "version", int) != VERSION:
        raise BrownidError(f"{file.filename}: this is no collection of brownid's own format, version {VERSION}.")
    extra = file.get("extra", {})
    found = {name: hdf5.dataset(file, name) for name in ("latents", "embeddings") if name in file}
    return found | {name: hdf5.dataset(extra, name) for name in extra}


def stored(path: str | Path) -> dict[str, tuple[str, str | None, int]]:
    """Storage of a file's columns of numbers: type on disk, compression and bytes, by name."""
    with _opened(path, ("latents", "embeddings", "extra")) as table:
        return {
            name: (str(item.dtype), item.compression, item.id.get_storage_size())
            for name, item in {**table.columns, **table.extra}.items()
        }


@dataclass(frozen=True)
class _Table:
    """An open file: what concerns all rows, and the datasets that rows are read from."""

    identities: np.ndarray
    codes: np.ndarray
    labels: np.ndarray  # the distinct ones, as objects
    about: dict[str, object]  # generator, recognition, settings
    columns: dict[str, h5py.Dataset]
    extra: dict[str, h5py.Dataset]

    def fields(self, rows: np.ndarray | None) -> dict[str, object]:
        """The fields of a SampleCollection of these rows, increasing; None is all."""
        chosen = slice(None) if rows is None else rows
        read = {name: _rows(item, rows) for name, item in self.columns.items()}
        return {
            "latents": read.get("latents"),
            "embeddings": read.get("embeddings"),
            "identities": self.identities[chosen],
            "labels": self.labels[self.codes[chosen]].tolist(),
            "extra": {name: _rows(item, rows) for name, item in self.extra.items()},
            **self.about,
        }


@contextmanager
def _opened(path: str | Path, columns: Collection[str]) -> Iterator[_Table]:
    """The file with the datasets that `columns` names; every fault is a BrownidError naming it."""
    with hdf5.reading(path) as file:
        version = hdf5.attribute(file, "version", int)
        if version != VERSION:
            raise BrownidError(f"{path}: the format version is {version}; this brownid reads version {VERSION}.")
        missing = [name for name in ("identity", "label_code", "label_table") if name not in file]
        missing += [f"attribute {name}" for name in ("generator", "recognition") if name not in file.attrs]
        if missing:
            raise BrownidError(f"{path}: the collection lacks {', '.join(missing)}; make it again.")
        extra = file.get("extra", {}) if "extra" in columns else {}
        if isinstance(extra, h5py.Dataset):
            raise BrownidError(f"{path}: extra is no group of columns; make the file again.")
        table = _Table(
            identities=checks.whole_numbers(hdf5.array(file, "identity", np.integer, 1), f"{path}: identities"),
            codes=hdf5.array(file, "label_code", np.integer, 1),
            labels=np.array(hdf5.texts(file, "label_table"), dtype=object),
            about={
                "generator": hdf5.attribute(file, "generator"),
                "recognition": hdf5.attribute(file, "recognition"),
                "settings": hdf5.settings(file),
            },
            columns={
                name: hdf5.dataset(file, name) for name in ("latents", "embeddings") if name in columns and name in file
            },
            extra={name: hdf5.dataset(extra, name) for name in extra},
        )
        _check_rows(path, table)
        yield table


def _check_rows(path: str | Path, table: _Table) -> None:
    """Every column has one row for each identity, and every label code stands for a label."""
    count = len(table.identities)
    for name, item in {"labels": table.codes, **table.columns, **table.extra}.items():
        rows = len(item) if item.shape else 0
        if rows != count:
            raise BrownidError(f"{path}: {name} has {rows} rows, but there are {count} identities.")
    if count and not 0 <= table.codes.min() <= table.codes.max() < len(table.labels):
        raise BrownidError(
            f"{path}: a label code lies outside the table of {len(table.labels)} labels; make the file again."
        )


def _rows(item: h5py.Dataset, rows: np.ndarray | None) -> np.ndarray:
    """Rows of a column in the type that it is handed out in."""
    read_as = hdf5.attribute(item, READ_AS) or item.dtype.str
    if read_as not in ("float32", "float64", item.dtype.str):
        raise BrownidError(f"{item.file.filename}: {item.name} is to be read as {read_as!r}; make the file again.")
    return hdf5.read_rows(item, rows, np.dtype(read_as))
