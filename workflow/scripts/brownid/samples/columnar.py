"""Our collection format: one HDF5 file of column datasets, chunked, labels as dictionary codes.

Root attributes `magic`, `version`, `generator`, `recognition`, `settings` (JSON; beyond 60 000 bytes a dataset [1]);
datasets `identity` int64 [n], `label_code` int32 [n], `label_table` text [k], `latents` [n, D], `embeddings` [n, E],
`extra/<name>` [n, ...]. A row of NaN is absent. Columns may be compressed, and stored as float16: then the attribute
`read_as` of the dataset names the type in which its numbers are handed out. Every chunk and header carries a checksum,
so that a damaged file is noticed when it is read. Texts are UTF-8 of fixed length; those of variable length, which
have no checksum, are read as well: earlier files of version 1 have them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from brownid.errors import BrownidError
from brownid.samples import agreement, checks, hdf5
from brownid.samples.writer import READ_AS, VERSION, Storage, appending

if TYPE_CHECKING:
    from brownid.samples.collection import SampleCollection


def write(path: str | Path, collection: "SampleCollection", storage: Storage | None = None) -> None:
    """Write a collection; the file appears whole or not at all."""
    with appending(path, storage, len(collection)) as writer:
        writer.append(collection)


def merge(
    paths: Sequence[str | Path],
    destination: str | Path,
    *,
    identities: Iterable[int] | None = None,
    labels: Iterable[str] | None = None,
    any_settings: bool = False,
    complete: bool = True,
    storage: Storage | None = None,
) -> None:
    """Join collections file by file, in this order, after checking that they belong together.

    What must agree, and what `identities`, `labels`, `any_settings` and `complete` ask for, is said at
    `agreement.check_parts`; each breach is a BrownidError that names the file. Settings are kept where all agree. Only
    identities and labels are held in memory for all rows; the rest passes through in blocks (of files in our format).
    `destination` may be one of `paths`, which appends to it.
    """
    from brownid.samples.collection import SampleCollection

    if not paths:
        raise BrownidError(f"{destination}: there are no collections to merge.")
    names = [str(path) for path in paths]
    heads = [SampleCollection.load(path, columns=()) for path in paths]
    agreement.check_parts(
        heads, names, identities=identities, labels=labels, any_settings=any_settings, complete=complete
    )
    with appending(destination, storage, sum(map(len, heads))) as writer:
        for path in paths:
            for block in SampleCollection.blocks(path, partial=True):
                writer.append(block, name=str(path))


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


def stored(path: str | Path) -> dict[str, tuple[str, str | None, int]]:
    """How a file holds its columns of numbers: by name the type on disk, the compression and the bytes."""
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
