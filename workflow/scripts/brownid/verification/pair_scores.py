"""Similarity scores of the pairs of benchmarks, as a Parquet file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.files import atomic_path, check_regular

SCHEMA = pa.schema(
    {
        "benchmark": pa.dictionary(pa.int32(), pa.string()),
        "first_person": pa.int64(),
        "second_person": pa.int64(),
        "same": pa.bool_(),
        "similarity": pa.float32(),
    }
)
PROVENANCE, CHECKSUM = b"brownid", b"brownid_sha256"


@dataclass(frozen=True)
class PairScores:
    """The scored pairs of a benchmark, in the order of its file."""

    persons: np.ndarray  # int64 [n, 2], on the first and on the second image; the same number, the same person
    same: np.ndarray  # bool [n]: whether it is a genuine pair
    similarity: np.ndarray  # float32 [n]: cosine of the two embeddings


def write_pair_scores(path: str | Path, scores: Mapping[str, PairScores], provenance: Mapping[str, Any]) -> None:
    """Write the pairs of each benchmark as one table, a row per pair: benchmark, persons, label, similarity.

    `provenance` (what JSON can hold: model, settings, inputs) goes into the metadata of the file, with a checksum.
    """
    names = [name for name, pairs in scores.items() for _ in range(len(pairs.same))]
    persons = np.concatenate([np.empty((0, 2), np.int64), *(pairs.persons for pairs in scores.values())])
    columns = [
        pa.array(names, pa.string()).dictionary_encode(),
        pa.array(persons[:, 0]),
        pa.array(persons[:, 1]),
        pa.array(np.concatenate([np.empty(0, bool), *(pairs.same for pairs in scores.values())])),
        pa.array(np.concatenate([np.empty(0, np.float32), *(pairs.similarity for pairs in scores.values())])),
    ]
    table = pa.table(columns, SCHEMA)
    text = json.dumps(provenance, sort_keys=True, allow_nan=False).encode()
    with atomic_path(path) as temporary:
        described = table.replace_schema_metadata({PROVENANCE: text, CHECKSUM: _checksum(table, text)})
        pq.write_table(described, temporary, compression="zstd")


def read_pair_scores(path: str | Path) -> dict[str, PairScores]:
    """The pairs of each benchmark in a file of `write_pair_scores`; BrownidError for a damaged or another file."""
    check_regular(path)
    try:
        table = pq.read_table(path, memory_map=False)
        metadata = table.schema.metadata or {}
        text, checksum = metadata[PROVENANCE], metadata[CHECKSUM]
        table = table.cast(SCHEMA).combine_chunks()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise BrownidError(f"{path}: no scores of pairs that can be read ({one_line(error)}): make it again.") from None
    if checksum != _checksum(table, text):
        raise BrownidError(f"{path}: damaged: its content does not match its checksum; make it again.")
    names = table["benchmark"].to_numpy()
    persons = np.stack([table["first_person"].to_numpy(), table["second_person"].to_numpy()], axis=1)
    same, similarity = table["same"].to_numpy(), table["similarity"].to_numpy()
    parts = {name: names == name for name in dict.fromkeys(names.tolist())}
    return {name: PairScores(persons[part], same[part], similarity[part]) for name, part in parts.items()}


def _checksum(table: pa.Table, provenance: bytes) -> bytes:
    content = hashlib.sha256(provenance)
    for column in table.columns:
        content.update("\0".join(column.to_pylist()).encode() if pa.types.is_dictionary(column.type) else b"")
        content.update(b"" if pa.types.is_dictionary(column.type) else column.to_numpy().tobytes())
    return content.hexdigest().encode()
