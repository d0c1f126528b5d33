"""Opening HDF5 files so that whatever is wrong with them becomes one sentence naming the file."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from brownid.errors import BrownidError
from brownid.files import atomic_path


@contextmanager
def reading(path: str | Path) -> Iterator[h5py.File]:
    """The opened file; a missing, truncated or damaged one raises BrownidError, also while the block reads from it.

    Files here are whole or absent and never change while they are read: no lock is taken, since some cluster file
    systems know none.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise BrownidError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise damaged(path, error) from None
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise damaged(path, error) from error


@contextmanager
def writing(path: str | Path, libver: str = "v110") -> Iterator[h5py.File]:
    """A new file that appears at `path` when the block ends well; until then what stood there stays.

    The HDF5 1.10 file layout carries checksums of its own structure; "earliest" can be read by every HDF5.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w", locking=False, libver=(libver, "v110")) as file:
        yield file


def damaged(path: str | Path, error: Exception) -> BrownidError:
    """The sentence for a file that HDF5 cannot read."""
    reason = " ".join(str(error).split())
    return BrownidError(
        f"{path}: this is not a readable HDF5 file, it is truncated, damaged or something else ({reason});"
        " make or copy it again."
    )


def attribute(holder: h5py.Group, name: str, kind: type = str) -> object:
    """An attribute of this kind (str, int, float), or None where there is none; another kind is a BrownidError."""
    value = holder.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, kind):
        return value
    raise BrownidError(
        f"{holder.file.filename}: the attribute {name} of {holder.name} is {value!r}, which is no {kind.__name__};"
        " make the file again."
    )


def array(
    holder: h5py.Group,
    name: str,
    kind: type[np.generic] | tuple[type[np.generic], ...] = (np.number, np.bool_),
    dimensions: int | None = None,
) -> np.ndarray:
    """A dataset of numbers, of this kind and with so many dimensions; anything else is a BrownidError."""
    item = holder[name]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        found = "a group" if isinstance(item, h5py.Group) else "empty"
    elif not issubclass(item.dtype.type, kind) or dimensions not in (None, item.ndim):
        found = f"{item.dtype} {list(item.shape)}"
    else:
        return item[()]
    raise _wrong(holder, name, f"{found}, not an array of numbers as it should be")


def texts(holder: h5py.Group, name: str) -> list[str]:
    """A dataset `[n]` of texts; anything else is a BrownidError."""
    item = holder[name]
    if not isinstance(item, h5py.Dataset) or h5py.check_string_dtype(item.dtype) is None or item.ndim != 1:
        raise _wrong(holder, name, "no list of texts")
    return item.asstr()[:].tolist()


def settings_text(settings: Mapping[str, object]) -> str:
    """Settings as the JSON text of an attribute; `settings` reads it."""
    try:
        return json.dumps(settings, sort_keys=True)
    except TypeError as error:
        raise BrownidError(f"the settings of a file must be plain numbers, texts and lists ({error}).") from None


def settings(holder: h5py.Group) -> dict[str, object]:
    """The attribute `settings`, empty where there is none; anything but a mapping in JSON is a BrownidError."""
    content = json.loads(attribute(holder, "settings") or "{}")
    if not isinstance(content, dict):
        raise _wrong(holder, "settings", "no mapping of names to values")
    return content


def _wrong(holder: h5py.Group, name: str, what: str) -> BrownidError:
    where = f"{holder.name.rstrip('/')}/{name}".lstrip("/")
    return BrownidError(f"{holder.file.filename}: {where} is {what}; make the file again.")
