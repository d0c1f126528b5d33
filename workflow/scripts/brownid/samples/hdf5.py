"""Opening HDF5 files so that whatever is wrong with them becomes one sentence naming the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

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


def attribute(holder: h5py.Group, name: str, default: object = None) -> object:
    """An attribute with bytes as text, or `default` where there is none."""
    value = holder.attrs.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
