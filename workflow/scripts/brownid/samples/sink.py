"""The file that HDF5 writes into: a full disk ends the writing with the system's own error.

HDF5 cannot close a file that it failed to write: it tries again for each object in its cache, prints a traceback for
each, and crashes. Here the first failure is kept, HDF5 is told that all is well, and the failure is raised after it.
"""

import os
from pathlib import Path


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
