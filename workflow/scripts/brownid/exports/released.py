"""A training set of a release, read from its Parquet files, one row group at a time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from brownid.exports.parquet import TEXTS
from brownid.exports.rows import side_of
from brownid.exports.training_set import Block, TrainingSet
from brownid.runtime.errors import BrownidError, one_line, refused_read

NUMBERS = {"latent": "latents", "w_plus_latent": "w_plus_latents", "embedding": "embeddings"}  # column -> of a block
KINDS = {"label": pa.types.is_int64, **dict.fromkeys(TEXTS, pa.types.is_string)}


class Group(NamedTuple):
    """One row group of a file."""

    path: Path
    number: int  # in the file
    start: int  # the first of its rows in the training set
    rows: int


class ParquetTrainingSet(TrainingSet):
    """The Parquet files of a folder as one training set, in the order of their names.

    BrownidError where there are none, for files that are damaged or lack a column, and for rows that are not sorted by
    class.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        paths = sorted(self.folder.glob("*.parquet"))
        if not paths:
            raise BrownidError(f"{self.folder}: there are no Parquet files in this folder.")
        self._groups = list(_groups(paths))
        self._shapes = {name: shape for name, shape in _shapes(paths[0]).items() if shape}
        self.latent_dimension = self._shapes.get("latent", (None,))[0]
        self.embedding_dimension = self._shapes.get("embedding", (None,))[0]
        layers = self._shapes.get("w_plus_latent")
        self.w_plus_shape = (layers[0], layers[1]) if layers else None
        self.classes, self.datasets = _classes_and_datasets(self._groups)
        try:
            self.image_size = side_of(bytes(next(self.blocks(0, 1)).images[0]))
        except BrownidError as error:
            raise BrownidError(f"{paths[0]}: the first image cannot be used: {error}") from None

    def __len__(self) -> int:
        return self._groups[-1].start + self._groups[-1].rows

    def sizes(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Bytes of each encoded image of the rows from `start` to `stop`, int64 `[stop - start]`; reads the images."""
        parts = [
            pa.compute.binary_length(_images(table)).to_numpy(zero_copy_only=False).astype(np.int64)
            for table in self._tables(start, stop, ["image.bytes"])
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The rows from `start` to `stop`, in order."""
        for table in self._tables(start, stop, ["image.bytes", "label", *TEXTS, *self._shapes]):
            numbers: dict[str, Any] = {
                NUMBERS[name]: _numbers(table[name], shape) for name, shape in self._shapes.items()
            }
            yield Block(
                labels=table["label"].to_numpy(),
                identities=table["identity"].to_pylist(),
                samples=table["sample"].to_pylist(),
                datasets=table["dataset"].to_pylist(),
                images=[memoryview(image.as_buffer()) for image in _images(table)],
                **numbers,
            )

    def _tables(self, start: int, stop: int | None, columns: list[str]) -> Iterator[pa.Table]:
        """These columns of the rows from `start` to `stop`, a table per row group."""
        stop = len(self) if stop is None else stop
        file: Any = None
        opened = None
        for group in self._groups:
            first, last = max(start, group.start), min(stop, group.start + group.rows)
            if first >= last:
                continue
            with _reading(group.path):
                if opened != group.path:
                    file, opened = pa.parquet.ParquetFile(group.path), group.path
                yield file.read_row_group(group.number, columns).slice(first - group.start, last - first)


def _groups(paths: list[Path]) -> Iterator[Group]:
    start = 0
    with _reading(paths[0]):
        first = pa.parquet.ParquetFile(paths[0]).schema_arrow
    for path in paths:
        with _reading(path):
            file = pa.parquet.ParquetFile(path)
            _check_columns(path, file.schema_arrow)
            _check_numbers(path, file.schema_arrow, first)
            counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        for number, rows in enumerate(counts):
            yield Group(path, number, start, rows)
            start += rows
    if not start:
        raise BrownidError(f"{paths[0].parent}: its Parquet files have no rows.")


def _check_columns(path: Path, schema: pa.Schema) -> None:
    kinds = dict(zip(schema.names, schema.types, strict=True))
    wrong = [name for name, check in KINDS.items() if name not in kinds or not check(kinds[name])]
    image = kinds.get("image")
    if image is None or not pa.types.is_struct(image) or image.get_field_index("bytes") < 0:
        wrong.insert(0, "image")
    if wrong:
        raise BrownidError(
            f"{path}: this is no Parquet file of a training set: the column {wrong[0]!r} is missing or of another type."
        )


def _check_numbers(path: Path, schema: pa.Schema, first: pa.Schema) -> None:
    """Refuse a file whose columns of numbers are not those of the first file."""
    for name in NUMBERS:
        kinds = [each.field(name).type if name in each.names else None for each in (schema, first)]
        if kinds[0] != kinds[1]:
            raise BrownidError(
                f"{path}: the column {name!r} is not as in the first file of the set; get the set again."
            )


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of a row of each column of numbers."""
    with _reading(path):
        schema = pa.parquet.ParquetFile(path).schema_arrow
    found = {}
    for name in NUMBERS:
        kind, shape = schema.field(name).type if name in schema.names else None, []
        while kind is not None and pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size)
            kind = kind.value_type
        found[name] = tuple(shape)
    return found


def _classes_and_datasets(groups: list[Group]) -> tuple[list[str], dict[str, int]]:
    """The identity of each label and the rows of each dataset; BrownidError where labels are not 0, 0, …, 1, 1, …."""
    names: list[str] = []
    datasets: Counter[str] = Counter()
    for path in dict.fromkeys(group.path for group in groups):
        with _reading(path):
            table = pa.parquet.read_table(path, columns=["label", "identity", "dataset"])
        labels = table["label"].to_numpy()
        first = np.flatnonzero(np.diff(labels, prepend=len(names) - 1))
        if not np.array_equal(labels[first], np.arange(len(names), len(names) + len(first))):
            raise BrownidError(
                f"{path}: the labels are not 0, 0, …, 1, 1, … in the order of the files; get the set again."
            )
        names += table["identity"].take(first).to_pylist()
        datasets.update(table["dataset"].to_pylist())
    return names, dict(datasets)


def _images(table: pa.Table) -> pa.Array:
    return pa.compute.struct_field(table["image"].combine_chunks(), "bytes")


def _numbers(column: pa.ChunkedArray, shape: tuple[int, ...]) -> np.ndarray:
    """A column of lists as float32 `[k, *shape]`; null is a row of NaN."""
    values = np.full((len(column), *shape), np.nan, np.float32)
    there = column.is_valid().to_numpy()
    array = column.combine_chunks()
    for _ in shape:
        array = array.flatten()  # without nulls
    values[there] = array.to_numpy(zero_copy_only=False).reshape(-1, *shape)
    return values


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        refusal = refused_read(error, path)
        raise refusal or BrownidError(
            f"{path}: this Parquet file is damaged ({one_line(error)}): get it again."
        ) from None
