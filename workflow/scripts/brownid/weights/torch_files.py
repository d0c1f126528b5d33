"""Torch files and TorchScript archives read as data: tensors and plain containers, on the CPU."""

import io
import itertools
import mmap
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brownid.runtime.files import check_regular
from brownid.weights.pickled_tensors import MOST_VALUES, Storage, StoredTensor, TensorReader, file_error
from brownid.weights.unpickler import Function, Inert, PickleReader, Placeholder, RefusedError, check_needed, is_name

_ZIP = b"PK\x03\x04"  # as torch tells its newer format from the older
_MAGIC = 0x1950A86A20F9469CFC6C
_MORE_MEMORY = "it asks for more memory than its content can need"


def load_torch(file: Path | io.BytesIO) -> Any:
    """Tensors and plain containers of a torch file, on the CPU wherever they were written; parameters are tensors.

    What else the file holds is a `Placeholder`, which `check_needed` refuses by its name. Raises `RefusedError` for
    what no torch file needs, and whatever a damaged file leads to.
    """
    with open(file, "rb") if isinstance(file, Path) else nullcontext(file) as opened:
        if opened.read(len(_ZIP)) == _ZIP:
            with zipfile.ZipFile(opened) as archive:
                return _EagerArchiveReader(archive).read()
        if isinstance(opened, io.BytesIO):
            return _read_old(opened, len(opened.getbuffer()))
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read_old(content, len(content))


class ArchiveReader(TensorReader):
    """Reads the `data.pkl` of a ZIP file of torch's, whose tensors are read when they are needed."""

    def __init__(self, archive: zipfile.ZipFile):
        names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} entries are named data.pkl")
        self._archive, self._folder = archive, names[0].removesuffix("/data.pkl")
        assert archive.fp is not None  # an archive that is open has its file
        length = archive.fp.seek(0, io.SEEK_END)
        # Entries can lie on one another: a small file with any amount of content. Compressed ones, such as the code of
        # TorchScript, are not read.
        if sum(entry.file_size for entry in archive.infolist() if entry.compress_type == zipfile.ZIP_STORED) > length:
            raise RefusedError(_MORE_MEMORY)
        super().__init__(self._entry("data.pkl"), length)
        swapped = f"{self._folder}/byteorder" in archive.namelist()
        self._swapped = swapped and self._entry("byteorder") != sys.byteorder.encode()

    def persistent(self, key: object) -> Storage:
        """The storage that `("storage", type, key, device, count)` means."""
        match key:
            case ("storage", torch.dtype() as dtype, str(name), _, int(count)):
                if self._archive.getinfo(f"{self._folder}/data/{name}").file_size != count * dtype.itemsize:
                    raise RefusedError(f"its entry data/{name} does not hold the numbers that it should")
                return Storage(lambda: self._numbers(name, dtype))
        raise RefusedError("it refers to something that is no tensor")

    def _numbers(self, name: str, dtype: torch.dtype) -> Tensor:
        numbers = _as_numbers(bytearray(self._entry(f"data/{name}")), dtype)
        if self._swapped:
            numbers.untyped_storage().byteswap(dtype)
        return numbers

    def _entry(self, name: str) -> bytes:
        entry = self._archive.getinfo(f"{self._folder}/{name}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise RefusedError(f"its entry {name} is compressed, which torch does not do")
        # torch writes 0 where it is told to compute none, and zipfile checks none that is None.
        entry.CRC = entry.CRC or None  # type: ignore[assignment]
        return self._archive.read(entry)


class _EagerArchiveReader(ArchiveReader):
    """Reads every tensor at once; those of one storage share its memory."""

    lenient = True

    def __init__(self, archive: zipfile.ZipFile):
        super().__init__(archive)
        if f"{self._folder}/constants.pkl" in archive.namelist():
            raise RefusedError("it is a TorchScript program: save the state_dict() of the network alone")
        self._read: dict[tuple[str, torch.dtype], Tensor] = {}

    def persistent(self, key: object) -> Storage:
        """The storage, which is read before the archive is closed."""
        numbers = super().persistent(key).numbers()
        return Storage(lambda: numbers)

    def finished(self, tensor: StoredTensor) -> Tensor:
        """The tensor itself."""
        return tensor.view()

    def _numbers(self, name: str, dtype: torch.dtype) -> Tensor:
        if (name, dtype) not in self._read:
            self._read[name, dtype] = super()._numbers(name, dtype)
        return self._read[name, dtype]


class _OldReader(TensorReader):
    """Reads the content of a file of the older format; the numbers are filled in afterwards."""

    lenient = True

    def __init__(self, content: io.BytesIO | mmap.mmap, length: int):
        super().__init__(content, length)
        self._bytes_left = length
        self.buffers: dict[str, tuple[bytearray, int]] = {}  # the bytes of a storage by key, and how many are a number

    def python_2_string(self, raw: bytes) -> object:
        """Names of tensors are text, also where Python 2 has written them."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    def finished(self, tensor: StoredTensor) -> Tensor:
        """The tensor itself."""
        return tensor.view()

    def persistent(self, key: object) -> Storage | Placeholder:
        """The storage of `("storage", type, key, device, count, part)`, or the part (key, offset, count) of it."""
        match key:
            case ("module", Placeholder() as class_, *_):  # with the source of the class
                return class_
            case ("storage", torch.dtype() as dtype, str(name), _, int(count), part) if count >= 0:
                if name not in self.buffers:
                    self._bytes_left -= count * dtype.itemsize
                    if self._bytes_left < 0:
                        raise RefusedError(_MORE_MEMORY)
                    self.buffers[name] = bytearray(count * dtype.itemsize), dtype.itemsize
                numbers = _as_numbers(self.buffers[name][0], dtype)
                match part:
                    case None:
                        return Storage(lambda: numbers)
                    case (_, int(start), int(size)) if 0 <= start <= start + size <= numbers.numel():
                        return Storage(lambda: numbers[start : start + size])
        raise RefusedError("it refers to something that is no tensor")


def _read_old(file: io.BytesIO | mmap.mmap, length: int) -> object:
    file.seek(0)
    magic, _protocol, _machine = (PickleReader(file, length).read() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it does not begin as a torch file does")
    reader = _OldReader(file, length)
    content, keys = reader.read(), PickleReader(file, length).read()
    keys = [reader.python_2_string(key) if isinstance(key, bytes) else key for key in keys]
    if not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(reader.buffers):
        check_needed(content)  # a storage that was refused is not in the list
        raise ValueError("the list of its storages does not fit its tensors")
    for key in keys:
        buffer, size = reader.buffers[key]
        count, numbers = int.from_bytes(file.read(8), "little"), file.read(len(buffer))
        if count * size != len(buffer) or len(numbers) != len(buffer):
            raise EOFError("its numbers end early")
        memoryview(buffer)[:] = numbers
    return content


def _as_numbers(buffer: bytearray, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(buffer, dtype=dtype) if buffer else torch.empty(0, dtype=dtype)


DEEPEST = 50  # modules inside modules
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


def is_torchscript(path: str | Path) -> bool:
    """Whether a file is a TorchScript archive: a ZIP file of a state dict has no `constants.pkl`."""
    check_regular(path)
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: str | Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """The parameters and buffers whose dotted name is `wanted`, float32 on the CPU; of others nothing is read.

    Raises `BrownidError` that names the file where it is damaged or holds anything but tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _ScriptReader(archive).read()
            return {name: tensor.load() for name, tensor in _tensors(root, "", 0, itertools.count()) if wanted(name)}
    # A damaged file can fail in any way that its reader can: all of them mean the same to the user.
    except Exception as error:
        raise file_error(path, error) from error


class _ScriptModule(Inert):
    """Takes the place of a scripted module: its attributes by name."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        self.attributes: dict[str, object] = {}

    def set_state(self, state: object) -> None:
        """Its attributes by name."""
        if not isinstance(state, dict):
            raise RefusedError("it holds a module with an unknown state")
        self.attributes = state


class _ScriptReader(ArchiveReader):
    """Reads the tree of modules."""

    def __init__(self, archive: zipfile.ZipFile):
        super().__init__(archive)
        self.names |= {("torch.jit._pickle", name): Function(_first) for name in (*_LISTS, "restore_type_tag")}

    def stand_in(self, module: str, name: str) -> object | None:
        """Every class of the archive's program is a module."""
        return Function(_ScriptModule) if module.partition(".")[0] == "__torch__" else super().stand_in(module, name)


def _tensors(module: object, prefix: str, depth: int, visits: Iterator[int]) -> Iterator[tuple[str, StoredTensor]]:
    if depth > DEEPEST or not isinstance(module, _ScriptModule):
        raise RefusedError("its modules are no tree")
    for name, value in module.attributes.items():
        if next(visits) >= MOST_VALUES or not is_name(name):  # a small pickle can name a module any number of times
            raise RefusedError(f"its modules hold more than {MOST_VALUES} values, or such without a name")
        if isinstance(value, StoredTensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _ScriptModule):
            yield from _tensors(value, f"{prefix}{name}.", depth + 1, visits)


def _first(value: object, *_: object) -> object:
    return value
