"""Training sets as Parquet files: encoded images, class labels, latents, embeddings, as Hugging Face's `datasets` reads
them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from brownid.exports.training_set import Block, TrainingSet, shard_starts
from brownid.jobs.workers import in_processes
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress
from brownid.samples import checks

ROWS_PER_GROUP = 256  # what one access reads: about 6 MB at 112 pixels
MOST_CLASS_NAMES = 100_000  # of which the features hold the names; labels of more classes are plain numbers
TEXTS = ("identity", "sample", "dataset")


def write(training_set: TrainingSet, folder: Path, *, shard_bytes: int, processes: int) -> None:
    """Write train-00000-of-00002.parquet … of nearly equal size, at most about `shard_bytes`, into an empty folder."""
    numbers = sum(int(np.prod(shape)) for shape in _number_columns(training_set).values())
    starts = shard_starts(training_set, shard_bytes, row_bytes=4 * numbers)
    count = len(starts) - 1
    tasks = [
        (folder / f"train-{number:05d}-of-{count:05d}.parquet", starts[number], starts[number + 1])
        for number in range(count)
    ]
    results = in_processes(_write_shard, training_set, tasks, processes)
    for _ in progress(results, f"writing {training_set.name} as Parquet", "file", total=count):
        pass


def _write_shard(training_set: TrainingSet, task: tuple[Path, int, int]) -> None:
    path, start, stop = task
    schema = arrow_schema(training_set)
    texts = ["label", *TEXTS]
    with pa.parquet.ParquetWriter(
        path,
        schema,
        compression={name: "snappy" if name in texts else "none" for name in _leaves(schema)},
        use_dictionary=texts,
        write_statistics=texts,  # not of images, whose smallest and largest would be written again
        store_schema=True,
    ) as writer:
        for batch in _groups(training_set, start, stop, schema):
            writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)


def _groups(training_set: TrainingSet, start: int, stop: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for block in training_set.blocks(start, stop):
        yield record_batch(block, schema)


class Described(Protocol):
    """What is known of the rows of a training set: of a `TrainingSet`, or of its record."""

    @property
    def latent_dimension(self) -> int | None: ...
    @property
    def w_plus_shape(self) -> Sequence[int] | None: ...
    @property
    def embedding_dimension(self) -> int | None: ...


def _number_columns(training_set: Described) -> dict[str, tuple[int, ...]]:
    """The shape of a row of each column of numbers that a training set has."""
    shapes: dict[str, Any] = {
        "latent": training_set.latent_dimension and (training_set.latent_dimension,),
        "w_plus_latent": training_set.w_plus_shape,
        "embedding": training_set.embedding_dimension and (training_set.embedding_dimension,),
    }
    return {name: tuple(shape) for name, shape in shapes.items() if shape}


def arrow_schema(training_set: TrainingSet) -> pa.Schema:
    """The Arrow schema, with the features of `datasets` in its metadata."""
    metadata = {"huggingface": json.dumps(_features(training_set))}
    return pa.schema(column_types(training_set).items(), metadata=metadata)


def column_types(training_set: Described) -> dict[str, pa.DataType]:
    """The Arrow type of each column."""
    columns = {
        "image": pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())]),
        "label": pa.int64(),
        **dict.fromkeys(TEXTS, pa.string()),
    }
    for name, shape in _number_columns(training_set).items():
        columns[name] = _list_of(shape)
    return columns


def _list_of(shape: tuple[int, ...]) -> pa.DataType:
    kind = pa.float32()
    for length in reversed(shape):
        kind = pa.list_(kind, length)
    return kind


def _features(training_set: TrainingSet) -> dict[str, Any]:
    """What `datasets` keeps under the key `huggingface` of a schema's metadata."""
    named = len(training_set.classes) <= MOST_CLASS_NAMES
    label = {"names": list(training_set.classes), "_type": "ClassLabel"} if named else _value("int64")
    features = {"image": {"_type": "Image"}, "label": label, **{name: _value("string") for name in TEXTS}}
    for name, shape in _number_columns(training_set).items():
        feature = _value("float32")
        for length in reversed(shape):
            # `Sequence` is read by all versions of `datasets`; those from 4.0 on write `List`, which older ones refuse
            feature = {"feature": feature, "length": length, "_type": "Sequence"}
        features[name] = feature
    return {"info": {"features": features}}


def _value(kind: str) -> dict[str, Any]:
    return {"dtype": kind, "_type": "Value"}


def record_batch(block: Block, schema: pa.Schema) -> pa.RecordBatch:
    """A block as Arrow columns; absent latents and embeddings are null."""
    images = pa.StructArray.from_arrays(
        [_binary(block.images), pa.nulls(len(block), pa.string())], fields=list(schema.field("image").type)
    )
    columns = {
        "image": images,
        "label": pa.array(block.labels),
        "identity": pa.array(block.identities, pa.string()),
        "sample": pa.array(block.samples, pa.string()),
        "dataset": pa.array(block.datasets, pa.string()),
        "latent": block.latents,
        "w_plus_latent": block.w_plus_latents,
        "embedding": block.embeddings,
    }
    arrays = [
        _lists(column, schema.field(name).type) if isinstance(column := columns[name], np.ndarray) else column
        for name in schema.names
    ]
    return pa.record_batch(arrays, schema=schema)


def _binary(values: Sequence[memoryview]) -> pa.Array:
    """A binary column. `pa.array` would never release the memory views (in 26.0), and with them the mapped files."""
    ends = np.cumsum([0, *map(len, values)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise BrownidError(
            f"{len(values)} images have {ends[-1]} bytes, more than a column of Parquet takes at a time."
        )
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def _lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Rows `[k, ...]` as lists of fixed lengths, of which those of NaN are null."""
    absent = pa.array(checks.absent_rows(values))
    items = pa.array(np.ascontiguousarray(values).reshape(-1))
    for length in reversed(values.shape[2:]):
        items = pa.FixedSizeListArray.from_arrays(items, length)
    return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=absent)


def _leaves(schema: pa.Schema) -> list[str]:
    """The paths of the columns of a Parquet file."""
    leaves = []
    for field in schema:
        path, kind = field.name, field.type
        if pa.types.is_struct(kind):
            leaves += [f"{path}.{child.name}" for child in kind]
            continue
        while pa.types.is_fixed_size_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        leaves.append(path)
    return leaves
