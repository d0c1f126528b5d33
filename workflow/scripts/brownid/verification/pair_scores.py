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
        "benchmark": pa.string(),
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

    persons: np.ndarray  # int64 [n, 2], on the first and on the second image; a number is one person in all benchmarks
    same: np.ndarray  # bool [n]: whether it is a genuine pair
    similarity: np.ndarray  # float32 [n]: cosine of the two embeddings


def write_pair_scores(path: str | Path, scores: Mapping[str, PairScores], provenance: Mapping[str, Any]) -> None:
    """Write the pairs of each benchmark as one table, a row per pair: benchmark, persons, label, similarity.

    `provenance` (what JSON can hold: model, settings, inputs) goes into the metadata of the file, with a checksum.
    """
    names = [name for name, pairs in scores.items() for _ in range(len(pairs.same))]
    persons = np.concatenate([np.empty((0, 2), np.int64), *(pairs.persons for pairs in scores.values())])
    columns = [
        pa.array(names, pa.string()),
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
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        provenance, checksum = metadata[PROVENANCE], metadata[CHECKSUM]
        table = table.cast(SCHEMA)
    except (OSError, KeyError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = one_line(error).rstrip(".")
        raise BrownidError(
            f"{path}: no scores of pairs that can be read ({reason}): score the network again."
        ) from None
    if checksum != _checksum(table, provenance):
        raise BrownidError(f"{path}: damaged: its content does not match its checksum; score the network again.")
    names = table["benchmark"].to_numpy()
    persons = np.stack([table["first_person"].to_numpy(), table["second_person"].to_numpy()], axis=1)
    same, similarity = table["same"].to_numpy(), table["similarity"].to_numpy()
    parts = {name: names == name for name in dict.fromkeys(names.tolist())}
    return {name: PairScores(persons[part], same[part], similarity[part]) for name, part in parts.items()}


def _checksum(table: pa.Table, provenance: bytes) -> bytes:
    """SHA-256 of the content, as hexadecimal text."""
    content = hashlib.sha256(provenance)
    names, *numbers = table.columns
    content.update("\n".join(names.to_pylist()).encode())
    for column in numbers:
        content.update(column.to_numpy().tobytes())
    return content.hexdigest().encode()
