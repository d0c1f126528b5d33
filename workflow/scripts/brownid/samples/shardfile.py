"""The file of an image shard: Arrow record batches of a bounded number of rows, mapped into memory by its readers.

Columns `identity` int64, `label` text, `image` PNG bytes (RGB, 8 bit); the schema's metadata holds `namespace` (the
references or database that defines the persons), `side`, `version`, and `checksum`, a CRC-32 of what says whose images
these are (PNG files carry their own). Nothing is compressed again.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from brownid.errors import BrownidError
from brownid.files import atomic_path

VERSION = "1"
ROWS_PER_BATCH = 1024
COLUMNS = {"identity": pa.int64(), "label": pa.string(), "image": pa.large_binary()}


def write(
    path: str | Path,
    namespace: str,
    side: int,
    identities: np.ndarray,
    labels: Sequence[str],
    encoded: Sequence[bytes],
) -> None:
    """Write n rows: identities int64 `[n]`, labels and PNG files; the file appears whole or not at all."""
    metadata = {"namespace": namespace, "side": str(side), "version": VERSION}
    metadata["checksum"] = _checksum(metadata, identities, labels)
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in COLUMNS.items()], metadata=metadata)
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        for start in range(0, len(encoded), ROWS_PER_BATCH):
            part = slice(start, start + ROWS_PER_BATCH)
            columns = zip((identities[part], labels[part], encoded[part]), COLUMNS.values(), strict=True)
            writer.write_batch(pa.record_batch([pa.array(rows, kind) for rows, kind in columns], schema=schema))


def read(path: Path) -> pa.Table:
    """The rows of a file, its images where they are in the mapped file; a file that is no shard is a BrownidError."""
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        metadata = {key.decode(): value.decode() for key, value in (file.schema.metadata or {}).items()}
        columns = dict(zip(file.schema.names, file.schema.types, strict=True))
        if columns != COLUMNS or metadata.get("version") != VERSION:
            raise BrownidError(f"{path}: this is an Arrow file, but no image shard of version {VERSION}.")
        table = file.read_all()
        table.validate(full=True)  # or a damaged file could lead outside its memory
        found = _checksum(metadata, table["identity"].to_numpy(), table["label"].to_pylist())
    except FileNotFoundError:
        raise BrownidError(f"{path}: there is no such file.") from None
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        reason = f"it is truncated or damaged ({' '.join(str(error).split())})"
        raise BrownidError(f"{path}: this is not a readable Arrow file, {reason}; make it again.") from error
    if metadata.get("checksum") != found:
        raise BrownidError(f"{path}: identities, labels or metadata are damaged (wrong checksum); make it again.")
    return table


def _checksum(metadata: Mapping[str, str], identities: np.ndarray, labels: Sequence[str]) -> str:
    texts = "\0".join([metadata["namespace"], metadata["side"], *labels])
    return f"{zlib.crc32(texts.encode(), zlib.crc32(identities.astype('<i8'))):08x}"
