"""HDF5 files: every fault of a file is one sentence that names it, and a full disk is an error."""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5i, h5l, h5z

from brownid.runtime.errors import BrownidError, one_line, refused_read
from brownid.runtime.files import atomic_path, check_regular
from brownid.samples.checks import BLOCK_ROWS


class Sink:
    """A new file with the methods that h5py asks of a file object; `failure` is what went wrong first, or None."""

    def __init__(self, path: str | Path) -> None:
        self.failure: OSError | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._place = self._size = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the beginning or the end."""
        self._place = offset + (self._size if whence == os.SEEK_END else 0)
        return self._place

    def tell(self) -> int:
        """The present offset."""
        return self._place

    def write(self, content: memoryview) -> int:
        """Write at the present offset, all of it."""
        done, total = 0, len(content)
        while self.failure is None and done < total:
            try:
                done += os.pwrite(self._descriptor, content[done:] if done else content, self._place + done)
            except OSError as error:
                self.failure = error
        self._place += total
        self._size = max(self._size, self._place)
        return total

    def read(self, count: int) -> bytes:
        """Bytes from the present offset on; after a failure, zeros for those that could not be written."""
        content = os.pread(self._descriptor, count, self._place)
        self._place += len(content)
        return content if self.failure is None else content.ljust(count, b"\0")

    def truncate(self, size: int) -> int:
        """Set the length of the file."""
        if self.failure is None:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError as error:
                self.failure = error
        self._size = size
        return size

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """Close the file once its content is on the disk, so that a machine that stops cannot lose it either."""
        try:
            if self.failure is None:
                os.fsync(self._descriptor)
        except OSError as error:
            self.failure = error
        finally:
            os.close(self._descriptor)


TEXT = h5py.string_dtype()
ATTRIBUTE_BYTES = 60_000  # HDF5 refuses attributes from 64 KiB on
# what h5py raises over a file that is not as it should be
FAULTS = (OSError, RuntimeError, KeyError, TypeError, ValueError, RecursionError)
UNWRITTEN_BYTES = 2**20  # of numbers that may be in no file: HDF5 makes up what was never written
# bytes that one stored byte can stand for, by filter; other filters can do what ZSTD can
EXPANSIONS = {h5z.FILTER_DEFLATE: 1032, h5z.FILTER_SHUFFLE: 1, h5z.FILTER_FLETCHER32: 1, h5z.FILTER_LZF: 88}
LARGEST_EXPANSION = 2**15


@contextmanager
def reading(path: str | Path, *, attributes_only: bool = False) -> Iterator[h5py.File]:
    """The opened file; a missing, truncated or damaged one raises BrownidError, also while the block reads from it.

    Files here are whole or absent and never change while they are read: no lock is taken, since some cluster file
    systems know none. A file that leads to other files is refused: it could carry away whatever its reader may read.
    Links are checked here, unless the block reads attributes of the root only; datasets when they are asked for.
    """
    check_regular(path)
    try:
        # without a cache of chunks: each is read once here, and is handed through instead of copied
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    except FileNotFoundError:
        raise BrownidError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise _not_opened(path, error) from None
    with file:
        try:
            if not attributes_only:
                _check_links(file)
            yield file
        except FAULTS as error:
            raise damaged(path, error) from error


class OutputFile(h5py.File):
    """A file that is being written; `writing` makes one."""

    sink: Sink

    def check_disk(self) -> None:
        """Raise the OSError of a disk that is full; long loops call it, since HDF5 itself is not told."""
        if self.sink.failure is not None:
            raise self.sink.failure


@contextmanager
def writing(path: str | Path, libver: str = "v110") -> Iterator[OutputFile]:
    """A new file that appears at `path` when the block ends well and all is on the disk; until then the old one stays.

    The HDF5 1.10 file layout carries checksums of its own structure; "earliest" can be read by every HDF5.
    """
    with atomic_path(path) as temporary:
        sink = Sink(temporary)
        try:
            with OutputFile(sink, "w", libver=(libver, "v110")) as file:
                file.sink = sink
                yield file
        except FAULTS:
            if sink.failure is None:
                raise
        finally:
            sink.close()
        if sink.failure is not None:
            raise OSError(sink.failure.errno, sink.failure.strerror, str(path)) from None


def damaged(path: str | Path, error: Exception) -> BrownidError:
    """The sentence for a file that HDF5 cannot read."""
    return BrownidError(
        f"{path}: this is not a readable HDF5 file, it is truncated, damaged or something else ({one_line(error)});"
        " make or copy it again."
    )


def check_storage(item: h5d.DatasetID) -> None:
    """Refuse a dataset whose content is in other files, and one that declares more than its file can hold.

    To be called before anything is allocated. BrownidError names file and dataset.
    """
    itemsize = item.get_type().get_size()
    declared, chunk = item.get_space().get_simple_extent_npoints() * itemsize, 0
    held = min(item.get_storage_size(), h5i.get_file_id(item).get_filesize())
    creation = item.get_create_plist()
    layout = creation.get_layout()
    if layout == h5d.VIRTUAL or creation.get_external_count():
        raise _leading_out(item, h5i.get_name(item), "a dataset whose content is in other files")
    if layout == h5d.CHUNKED:
        filters = [creation.get_filter(number)[0] for number in range(creation.get_nfilters())]
        # not their product: what is compressed twice stands for millions of bytes a byte, and no writer makes it
        expansion = max((EXPANSIONS.get(number, LARGEST_EXPANSION) for number in filters), default=1)
        chunk = math.prod(creation.get_chunk()) * itemsize
        held = min(item.get_num_chunks() * chunk, h5i.get_file_id(item).get_filesize() * expansion)
    if max(declared, chunk) > held + UNWRITTEN_BYTES:
        path, name = (text.decode("utf-8", "replace") for text in (h5i.get_file_id(item).name, h5i.get_name(item)))
        raise BrownidError(
            f"{path}: {name} declares {max(declared, chunk)} bytes, of which the file can hold {held}; make or copy it"
            " again."
        )


def attribute(holder: h5py.Group, name: str, kind: type = str) -> Any:
    """An attribute of this kind (str, int, float), or None where there is none; another kind is a BrownidError."""
    several = name in holder.attrs and math.prod(holder.attrs.get_id(name).shape or ()) > 1
    value = "several values" if several else holder.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    elif isinstance(value, np.generic):
        value = value.item()
    if not several and (value is None or isinstance(value, kind)):
        return value
    raise BrownidError(
        f"{holder.file.filename}: the attribute {name} of {holder.name} is {value!r}, which is no {kind.__name__};"
        " make the file again."
    )


def dataset(
    holder: h5py.Group,
    name: str,
    kind: type[np.generic] | tuple[type[np.generic], ...] = (np.number, np.bool_),
    dimensions: int | None = None,
) -> h5py.Dataset:
    """A dataset of numbers of this `kind` and number of `dimensions`; anything else is a BrownidError."""
    item = holder[name]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        found = "a group" if isinstance(item, h5py.Group) else "empty"
    elif not issubclass(item.dtype.type, kind) or dimensions not in (None, item.ndim):
        found = f"{item.dtype} {list(item.shape)}"
    else:
        check_storage(item.id)
        return item
    raise _wrong(holder, name, f"{found}, not an array of numbers as it should be")


def array(
    holder: h5py.Group,
    name: str,
    kind: type[np.generic] | tuple[type[np.generic], ...] = (np.number, np.bool_),
    dimensions: int | None = None,
) -> np.ndarray:
    """The content of such a dataset."""
    return dataset(holder, name, kind, dimensions)[()]


def read_rows(item: h5py.Dataset, rows: np.ndarray | None = None, dtype: np.dtype | None = None) -> np.ndarray:
    """These rows (increasing; None is all) of a dataset `[n, ...]`, as `dtype`, without reading the others.

    Rows that share a chunk or stand in neighbouring ones are read together. Numbers are converted block by block,
    by numpy: HDF5's own conversion takes several times as long.
    """
    dtype = item.dtype if dtype is None else dtype
    count = len(item) if rows is None else len(rows)
    out = np.empty((count, *item.shape[1:]), dtype)
    if rows is None and dtype == item.dtype:
        if out.size:
            item.read_direct(out)
        return out
    rows = np.arange(count) if rows is None else rows
    nearby = item.chunks[0] if item.chunks else 1
    ends = iter([*(np.flatnonzero(np.diff(rows) > nearby) + 1).tolist(), count])
    start, end = 0, 0
    while start < count:
        end = next(ends) if end == start else end
        stop = min(end, int(np.searchsorted(rows, rows[start] + BLOCK_ROWS)))
        span = np.s_[rows[start] : rows[stop - 1] + 1]
        whole = span.stop - span.start == stop - start
        if whole and dtype == item.dtype and out.size:
            item.read_direct(out, span, np.s_[start:stop])
        else:
            block = item[span]
            out[start:stop] = block if whole else block[rows[start:stop] - rows[start]]
        start = stop
    return out


def set_array(holder: h5py.Group, name: str, values: np.ndarray) -> None:
    """Store numbers under checksums: HDF5 keeps its own structure under some, but not what datasets hold."""
    checked = values.size > 0 and values.ndim > 0  # no others can have chunks, which filters need
    holder.create_dataset(name, data=values, fletcher32=checked)


def texts(holder: h5py.Group, name: str) -> list[str]:
    """A dataset `[n]` of texts; anything else is a BrownidError."""
    item = holder[name]
    if not isinstance(item, h5py.Dataset) or h5py.check_string_dtype(item.dtype) is None or item.ndim != 1:
        raise _wrong(holder, name, "no list of texts")
    check_storage(item.id)
    if h5py.check_string_dtype(item.dtype).length is not None:
        return item.asstr()[:].tolist()
    found, size = [], 0
    for row in range(len(item)):  # of variable length: many could share one text as long as the file
        found.append(item.asstr()[row])
        size += len(found[-1])
        if size > holder.file.id.get_filesize():
            raise _wrong(holder, name, "a list of texts that is longer than its file")
    return found


def fixed_texts(values: Sequence[str], what: str) -> np.ndarray:
    """Texts `[n]` of one length in bytes, to be stored as they are; BrownidError about `what` if that cannot be.

    HDF5 keeps texts of variable length in a heap that has no checksum, where one wrong bit can make it read for ever.
    """
    try:
        encoded = [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise BrownidError(f"{what} {error.object!r} is no valid text; choose another.") from None
    if any(b"\0" in value for value in encoded):
        raise BrownidError(f"{what} holds the character NUL, which HDF5 cannot store; remove it.")
    return np.array(encoded, dtype=h5py.string_dtype(length=max([1, *map(len, encoded)])))


def set_text(holder: h5py.Group | h5py.Dataset, name: str, value: str) -> None:
    """Set an attribute that stands in the header of `holder` itself, under the checksum of that."""
    content = fixed_texts([value], f"the {name}")
    if content.itemsize > ATTRIBUTE_BYTES:
        raise BrownidError(f"the {name} has {content.itemsize} bytes; at most {ATTRIBUTE_BYTES} can be stored.")
    holder.attrs.create(name, content[0], dtype=content.dtype)


def set_settings(holder: h5py.Group, values: Mapping[str, object]) -> None:
    """Store settings as JSON: in the attribute `settings`, or where they are long in a dataset `[1]` of that name."""
    content = fixed_texts([settings_text(values)], "the settings")
    if content.itemsize <= ATTRIBUTE_BYTES:
        holder.attrs.create("settings", content[0], dtype=content.dtype)
    else:
        holder.create_dataset("settings", data=content, chunks=(1,), fletcher32=True)


def settings_text(settings: Mapping[str, object]) -> str:
    """Settings as JSON."""
    try:
        return json.dumps(settings, sort_keys=True)
    except TypeError as error:
        raise BrownidError(f"the settings of a file must be plain numbers, texts and lists ({error}).") from None


def settings(holder: h5py.Group) -> dict[str, object]:
    """Settings stored by `set_settings`, empty if there are none; anything but a mapping in JSON is a BrownidError."""
    text = attribute(holder, "settings")
    if text is None and "settings" in holder:
        text = "".join(texts(holder, "settings"))
    content = json.loads(text or "{}")
    if not isinstance(content, dict):
        raise _wrong(holder, "settings", "no mapping of names to values")
    return content


def _not_opened(path: str | Path, error: OSError) -> BrownidError:
    """The sentence for a file that HDF5 did not open."""
    reason = str(error)
    locked = "unable to lock file" in reason
    if "already open for" in reason or (locked and error.errno == errno.EAGAIN):
        return BrownidError(
            f"{path}: the file is open for writing in another program (a notebook, HDFView, a job that still runs), or"
            f" was when that was killed: close it there; if nothing has it open, `h5clear -s {path}` removes the mark"
            " that was left in it."
        )
    if locked:
        return BrownidError(
            f"{path}: the file cannot be locked here, which the environment variable HDF5_USE_FILE_LOCKING asks for:"
            " set it to FALSE, or remove it, and run again."
        )
    return refused_read(error, path) or damaged(path, error)


def _check_links(file: h5py.File) -> None:
    """Refuse links that lead to other files; those within the file lead where a hard link could."""
    found = file.id.links.visit(
        lambda name, info: None if info.type in (h5l.TYPE_HARD, h5l.TYPE_SOFT) else name, info=True
    )
    if found is not None:
        raise _leading_out(file.id, b"/" + found, "a link to another file")


def _leading_out(item: h5f.FileID | h5d.DatasetID, name: bytes, what: str) -> BrownidError:
    path = h5i.get_file_id(item).name.decode("utf-8", "replace")
    return BrownidError(
        f"{path}: {name.decode('utf-8', 'replace')} is {what}, which is not read: a file could carry away others"
        " of its reader's. Write all of it into one file."
    )


def _wrong(holder: h5py.Group, name: str, what: str) -> BrownidError:
    where = f"{holder.name.rstrip('/')}/{name}".lstrip("/")
    return BrownidError(f"{holder.file.filename}: {where} is {what}; make the file again.")
