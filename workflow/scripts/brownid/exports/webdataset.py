"""Tar shards for streaming, as the library webdataset and the Hugging Face loader of that name read them.

An image is three members with one key: KEY.png (or .jpg), the encoded image; KEY.cls, its class; and KEY.json, its
class, identity, sample and dataset. KEY is the number of the row in the training set. index.json gives the number of
images of each shard, in the format of the library wids.

A streaming reader sees rows in the order of the files, so they are shuffled over all shards. This takes two passes, and
memory for the keys of one bucket at any size: each row is appended to one of at most `MOST_BUCKETS` temporary files
(buckets), in turn and in random order; then the rows of a bucket are written to its shards in random order.
"""

import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from brownid.exports.rows import Row, rows
from brownid.exports.training_set import TrainingSet, sizes_in_blocks
from brownid.runtime.process import progress
from brownid.runtime.randomness import stream

MOST_BUCKETS = 200  # files that are open at once; some systems allow a process 256
MEMBERS = 3  # of an image; each has a header of one block, and two of them content of one block
BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
EMPTY_HEADER = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
SIZE, CHECKSUM = slice(124, 135), slice(148, 156)  # the octal digits of these fields in a header
ROWS_AT_ONCE = 1 << 16


def write(training_set: TrainingSet, folder: Path, *, shard_bytes: int, processes: int) -> None:
    """Write train-00000.tar, … of about `shard_bytes` and index.json into `folder`, with `processes` threads.

    The order depends on the number of rows and shards alone.
    """
    shards = max(1, min(-(-_bytes(training_set) // shard_bytes), len(training_set)))
    buckets = min(shards, MOST_BUCKETS)
    _fill_buckets(training_set, folder, buckets)
    starts = [bucket * shards // buckets for bucket in range(buckets + 1)]
    with ThreadPoolExecutor(processes) as threads:
        done = threads.map(
            lambda bucket: _write_shards(folder, bucket, starts[bucket], starts[bucket + 1]), range(buckets)
        )
        listed = progress(done, f"writing tar shards of {training_set.name}", "bucket", total=buckets)
        lengths = [length for part in listed for length in part]
    entries = [{"url": shard_name(shard), "nsamples": length} for shard, length in enumerate(lengths)]
    index = {"wids_version": 1, "name": training_set.name, "shardlist": entries}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def shard_name(shard: int) -> str:
    """The file name of a shard."""
    return f"train-{shard:05d}.tar"


def _bytes(training_set: TrainingSet) -> int:
    """Bytes of all members, where each file of class or text takes one block."""
    return sum(int((-(-part // BLOCK) + 2 * MEMBERS - 1).sum()) * BLOCK for part in sizes_in_blocks(training_set))


def _bucket_path(folder: Path, bucket: int) -> Path:
    return folder / f".bucket-{bucket:03d}"


def _fill_buckets(training_set: TrainingSet, folder: Path, buckets: int) -> None:
    """Append the members of each row to a bucket: of `buckets` rows in a row, one goes to each."""
    turns = max(1, ROWS_AT_ONCE // buckets)
    with ExitStack() as stack:
        files = [stack.enter_context(open(_bucket_path(folder, bucket), "wb")) for bucket in range(buckets)]
        for number, row in enumerate(rows(training_set, f"shuffling {training_set.name}")):
            drawing, place = divmod(number, turns * buckets)
            if place == 0:
                order = np.tile(np.arange(buckets), (turns, 1))
                stream(0, "exports/webdataset/bucket", drawing).permuted(order, axis=1, out=order)
                bucket_of = order.ravel().tolist()
            files[bucket_of[place]].write(members(row, f"{number:09d}"))


def members(row: Row, key: str) -> bytes:
    """The members of a row in a tar file."""
    about = {"label": row.label, "identity": row.identity, "sample": row.sample, "dataset": row.dataset}
    return b"".join(
        [
            _member(f"{key}{row.suffix}", row.image),
            _member(f"{key}.cls", str(row.label).encode()),
            _member(f"{key}.json", json.dumps(about, ensure_ascii=False).encode()),
        ]
    )


def _member(name: str, content: bytes) -> bytes:
    """A file of user 0, of 1970, so that the bytes depend on name and content alone; as `TarInfo.tobuf`, but faster."""
    header = bytearray(EMPTY_HEADER)
    header[: len(name)] = name.encode("ascii")
    header[SIZE] = b"%011o" % len(content)
    header[CHECKSUM] = b" " * 8  # as the format has it
    header[CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % BLOCK)


def _write_shards(folder: Path, bucket: int, first: int, last: int) -> list[int]:
    """Write the shards `first` to `last` - 1, which a bucket holds, and remove it; returns their numbers of images."""
    path = _bucket_path(folder, bucket)
    with open(path, "rb") as content:
        starts = _row_starts(content)
        parts = np.array_split(stream(0, "exports/webdataset/order", bucket).permutation(len(starts) - 1), last - first)
        for shard, part in zip(range(first, last), parts, strict=True):
            with open(folder / shard_name(shard), "wb") as target:
                for row in part.tolist():
                    target.write(os.pread(content.fileno(), starts[row + 1] - starts[row], starts[row]))
                target.write(bytes(2 * BLOCK + -(target.tell() + 2 * BLOCK) % RECORD))
    path.unlink()
    return [len(part) for part in parts]


def _row_starts(content: BinaryIO) -> np.ndarray:
    """The bytes at which the rows of a bucket begin, and its length, int64 `[k + 1]`."""
    starts, place = [0], 0
    length = os.fstat(content.fileno()).st_size
    while place < length:
        for _ in range(MEMBERS):
            size = int(os.pread(content.fileno(), BLOCK, place)[SIZE], 8)
            place += BLOCK + -(-size // BLOCK) * BLOCK
        starts.append(place)
    return np.array(starts, np.int64)
