"""Verifying the training sets of a release: each row of each layout, and that all layouts of a set hold the same rows.

Rows are read in parts that processes share. What is kept of a row is added up by block of rows: memory grows with the
number of identities, not with that of the images.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from brownid.jobs.workers import WorkerKilledError, in_processes
from brownid.release.collection_checks import FoundLengths
from brownid.release.file_checks import Progress, check_plain
from brownid.release.metadata import METADATA, DatasetRecord, ReleasedSetRecord
from brownid.release.package import image_path
from brownid.release.row_readers import READERS, Row, Source, class_names
from brownid.runtime.errors import BrownidError
from brownid.samples import png
from brownid.samples.published import published_label

BLOCK_ROWS = 1024  # of which differences between layouts are told
ROWS_PER_PROCESS = 10_000  # to start one takes as long as to check these
ORDERED = ("parquet", "recordio", "lmdb")  # layouts whose parts come in the order of the rows
MOST_TOLD = 20  # faults of one part
SUMS = 7  # four of digests; rows, their numbers and the squares of these


class Shared(NamedTuple):
    """What each process gets once."""

    source: Source
    decoding: bool  # whether images are decoded, and not only compared
    published: Mapping[str, DatasetRecord]  # datasets whose images are there as single files too
    names: list[str] | None  # of the classes


@dataclass
class Found:
    """What some rows of a layout turn out to hold."""

    problems: list[str] = field(default_factory=list)
    stopped: bool = False  # whether some rows could not be read, so that counts mean nothing
    rows: int = 0
    sums: dict[int, np.ndarray] = field(default_factory=dict)  # by block: uint64 [SUMS], each modulo 2^64
    identities: dict[int, bytes] = field(default_factory=dict)  # by label: a digest of the identity, if it is known
    datasets: Counter[str] = field(default_factory=Counter)
    ends: list[tuple[int, set[tuple[str, str]]]] = field(default_factory=list)  # label, samples of the first and last

    def tell(self, problem: str) -> None:
        """Note a fault, unless there are too many."""
        if len(self.problems) < MOST_TOLD:
            self.problems.append(problem)


def set_problems(
    root: Path,
    record: ReleasedSetRecord,
    datasets: Mapping[str, DatasetRecord],
    processes: int,
    progress: Progress,
) -> Iterator[str]:
    """The faults of a training set in all its layouts; `datasets` are all that the release describes, by name."""
    for name, rows in record.datasets.items():
        if name in datasets and datasets[name].samples != rows:
            yield f"{METADATA}: {record.name} has {rows} rows of {name}, which has {datasets[name].samples} samples."
    first: tuple[str, Found] | None = None
    for layout in record.layouts:
        source = Source(root, record, layout)
        found = Found()
        problems = list(_layout_problems(source, datasets, found, first is None, processes, progress))
        yield from (problem.replace(f"{root}/", "") for problem in problems)
        if first is None:
            first = layout, found
        elif not problems:
            yield from _differences(source, found, *first)


def _layout_problems(
    source: Source,
    datasets: Mapping[str, DatasetRecord],
    whole: Found,
    decoding: bool,
    processes: int,
    progress: Progress,
) -> Iterator[str]:
    record, layout = source.record, source.layout
    processes = min(processes, 1 + record.rows // ROWS_PER_PROCESS)
    if layout == "lmdb":
        processes = max(processes, 2)  # never in this process, see `lmdb_rows`
    try:
        published = {name: datasets[name] for name in record.datasets if name in datasets and datasets[name].published}
        shared = Shared(source, decoding, published, class_names(source) if layout == "parquet" else None)
        found = in_processes(check_piece, shared, READERS[layout].pieces(source), processes)
        rows = _merged(source, found, whole)
        for _ in progress(rows, f"checking {record.name} ({layout})", "image", total=record.rows):
            yield from whole.problems
            whole.problems.clear()
    except WorkerKilledError:
        yield f"{source.folder}: the process that read it was killed: the file is damaged, or memory ran out."
        return
    except BrownidError as error:
        yield str(error)
        return
    yield from whole.problems
    if not whole.stopped:
        yield from _total_problems(source, whole)


def check_piece(shared: Shared, piece: Any) -> Found:
    """What a part of a layout holds."""
    source, found = shared.source, Found()
    lengths = FoundLengths()

    def columns(table: pa.Table, first_row: int) -> None:
        _check_numbers(source, table, first_row, lengths, found)

    before: int | None = None
    samples: set[tuple[str, str]] = set()
    try:
        for row in READERS[source.layout].rows(source, piece, columns):
            if row.label != before:
                if before is not None and row.label < before and source.layout in ORDERED:
                    found.tell(f"{source.folder}: row {row.number} has the label {row.label} after {before}.")
                before, samples = row.label, set()
                found.ends = [*found.ends[:1], (row.label, samples)]
            _add(shared, row, samples, found)
    except (BrownidError, OSError) as error:
        found.stopped = True
        found.tell(str(error) if isinstance(error, BrownidError) else f"{source.folder}: {error.strerror}.")
    for problem in lengths.problems():
        found.tell(f"{source.folder}: {problem}")
    return found


def _add(shared: Shared, row: Row, samples: set[tuple[str, str]], found: Found) -> None:
    """Check a row, and add it to what is found."""
    source, record = shared.source, shared.source.record
    where = f"{source.folder}: row {row.number}"
    if not 0 <= row.number < record.rows or not 0 <= row.label < record.classes:
        raise BrownidError(
            f"{where} of label {row.label} is not one of {record.rows} rows and {record.classes} classes."
        )
    digest = blake2b(b"%d %d " % (row.number, row.label), digest_size=32)
    digest.update(row.image)
    numbers = [row.number, row.number**2 % 2**64]
    sums = np.array([*np.frombuffer(digest.digest(), "<u8"), 1, *numbers], np.uint64)
    block = row.number // BLOCK_ROWS
    found.sums[block] = found.sums[block] + sums if block in found.sums else sums
    found.rows += 1
    if shared.decoding:
        try:
            png.decode(row.image, record.image_size)
        except BrownidError as error:
            found.tell(f"{where}: the image is not usable, {error}.")
    if row.identity is None or row.sample is None or row.dataset is None:
        return
    name = blake2b(row.identity.encode("utf-8", "replace"), digest_size=8).digest()
    if found.identities.setdefault(row.label, name) != name or (
        shared.names and shared.names[row.label] != row.identity
    ):
        found.tell(f"{where}: the identity {row.identity!r} is not that of label {row.label}.")
    found.datasets[row.dataset] += 1
    if (row.dataset, row.sample) in samples:
        found.tell(f"{where}: {row.identity} has the sample {row.sample!r} of {row.dataset} twice.")
    samples.add((row.dataset, row.sample))
    if row.dataset in shared.published:
        _compare_published(shared, row, where, found)


def _compare_published(shared: Shared, row: Row, where: str, found: Found) -> None:
    """Compare an image with the file of the published layout; a file that is missing is found elsewhere."""
    root = shared.source.root
    try:
        number = int(str(row.identity).rpartition("/")[2])
        path = image_path(shared.published[str(row.dataset)], number, published_label(str(row.sample)))
        check_plain(root, path)
        with open(root / path, "rb") as file:
            same = file.read(len(row.image) + 1) == row.image
    except (BrownidError, OSError):
        return
    except ValueError:
        found.tell(f"{where}: the identity {row.identity!r} has no number.")
        return
    if not same:
        found.tell(f"{path}: the image is not that of row {row.number} of {shared.source.folder}.")


def _check_numbers(source: Source, table: pa.Table, first_row: int, lengths: FoundLengths, found: Found) -> None:
    """Check the columns of numbers of a row group: all are finite, and embeddings are of unit length."""
    for name in ("latent", "w_plus_latent", "embedding"):
        if name not in table.column_names:
            continue
        column = table[name].combine_chunks()
        rows = first_row + np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        values = column.flatten()
        while pa.types.is_fixed_size_list(values.type):
            values = values.flatten()
        numbers = values.to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        wrong = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
        if len(wrong):
            found.tell(f"{source.folder}: {name} of row {rows[wrong[0]]} holds NaN or infinite numbers.")
        elif name == "embedding":
            lengths.add(numbers, [f"row {row}" for row in rows.tolist()].__getitem__)


def _merged(source: Source, parts: Iterable[Found], whole: Found) -> Iterator[None]:
    """Add what the parts hold to the whole, and yield for each row."""
    for part in parts:
        whole.problems += part.problems
        whole.stopped = whole.stopped or part.stopped
        whole.rows += part.rows
        whole.datasets.update(part.datasets)
        for block, sums in part.sums.items():
            whole.sums[block] = whole.sums[block] + sums if block in whole.sums else sums
        for label, name in part.identities.items():
            if whole.identities.setdefault(label, name) != name:
                whole.tell(f"{source.folder}: rows of label {label} name different identities.")
        if source.layout in ORDERED and part.ends:
            _join_ends(source, part, whole)
        for _ in range(part.rows):
            yield


def _join_ends(source: Source, part: Found, whole: Found) -> None:
    """Check the labels and samples where a part follows on another."""
    (label, samples), last = part.ends[0], whole.ends[-1] if whole.ends else (-1, set())
    if label < last[0]:
        whole.tell(f"{source.folder}: a row of label {label} comes after one of label {last[0]}.")
    if label == last[0]:
        for dataset, sample in sorted(samples & last[1]):
            whole.tell(f"{source.folder}: label {label} has the sample {sample!r} of {dataset} twice.")
        samples |= last[1]
    whole.ends = [part.ends[-1]]


def _total_problems(source: Source, whole: Found) -> Iterator[str]:
    """Differences between the whole of a layout and metadata.json."""
    record, folder = source.record, source.folder
    if whole.rows != record.rows:
        yield f"{folder}: there are {whole.rows} rows, {METADATA} says {record.rows}."
    for block, sums in sorted(whole.sums.items()):
        numbers = range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, record.rows))
        expected = [len(numbers), sum(numbers), sum(number**2 for number in numbers) % 2**64]
        if sums[4:].tolist() != expected:
            yield f"{folder}: of the rows {numbers[0]} to {numbers[-1]} some are missing or occur twice."
    if not whole.datasets:  # the layout does not name them
        return
    if len(whole.identities) != record.classes or len(set(whole.identities.values())) != record.classes:
        labels, names = len(whole.identities), len(set(whole.identities.values()))
        yield f"{folder}: there are {labels} labels of {names} identities, {METADATA} says {record.classes}."
    for name in {*whole.datasets, *record.datasets}:
        if whole.datasets[name] != record.datasets.get(name, 0):
            said = record.datasets.get(name, 0)
            yield f"{folder}: there are {whole.datasets[name]} rows of {name}, {METADATA} says {said}."


def _differences(source: Source, found: Found, layout: str, first: Found) -> Iterator[str]:
    """Where the rows of two layouts differ."""
    for block in sorted({*found.sums, *first.sums}):
        ours, theirs = found.sums.get(block), first.sums.get(block)
        if ours is None or theirs is None or (ours != theirs).any():
            start = block * BLOCK_ROWS
            end = min(start + BLOCK_ROWS, source.record.rows) - 1
            other = source.record.folder(layout)
            yield f"{source.folder}: images or labels of the rows {start} to {end} are not those of {other}."
