"""The tensors of a TorchScript archive, read as data: the code in it is neither compiled nor run.

An archive (`torch.jit.save`) is a ZIP file: `code/` holds the program, `data.pkl` the tree of its modules, and
`data/<number>` the numbers of each tensor.
"""

import io
import itertools
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from brownid.generators.checkpoints.plain import MOST_VALUES, Function, Items, file_error
from brownid.generators.checkpoints.tensors import Storage, StoredTensor, rebuild_tensor
from brownid.pickles import RefusedError, check_opcodes

DEEPEST = 50  # modules inside modules
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


def is_torchscript(path: str | Path) -> bool:
    """Is it a TorchScript archive? A ZIP file of a state dict has no `constants.pkl`."""
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
            (pickled,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            data = archive.read(pickled)
            check_opcodes(data, len(data))
            root = _ArchiveUnpickler(data, archive, pickled.removesuffix(".pkl")).load()
            return {name: tensor.load() for name, tensor in _tensors(root, "", 0, itertools.count()) if wanted(name)}
    # A damaged file can fail in any way that its reader can: all of them mean the same to the user.
    except Exception as error:
        raise file_error(path, error) from error


class _ScriptModule:
    """Takes the place of a scripted module: its attributes by name."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        self.attributes: dict[str, object] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise RefusedError("it holds a module with an unknown state")
        self.attributes = state


class _Entry(Storage):
    """The numbers of one entry of the archive, which are read when somebody wants them."""

    __slots__ = ("_archive", "_dtype", "_name")

    def __init__(self, archive: zipfile.ZipFile, name: str, dtype: torch.dtype, count: int) -> None:
        super().__init__(b"")
        info = archive.getinfo(name)
        # torch never compresses; what is not compressed cannot grow
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != count * dtype.itemsize:
            raise RefusedError(f"its entry {name} does not hold the numbers that it should")
        self._archive, self._name, self._dtype = archive, name, dtype

    def numbers(self) -> Tensor:
        """All numbers of the entry, `[n]`; a Storage keeps them, these are dropped again."""
        return torch.frombuffer(bytearray(self._archive.read(self._name)), dtype=self._dtype)


class _ArchiveUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(data))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> object:
        """The stand-in of a known name, without importing anything."""
        if module.partition(".")[0] == "__torch__":
            return _ScriptModule
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return Function(rebuild_tensor)
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return Items
        if module == "torch.jit._pickle" and name in _LISTS:
            return Function(_same)
        if (module, name) == ("torch.jit._pickle", "restore_type_tag"):
            return Function(_first)
        raise RefusedError(f"it names {module}.{name}, and only tensors and plain values are read")

    def persistent_load(self, key: object) -> _Entry:
        """The storage that `("storage", type, number, device, count)` means."""
        match key:
            case ("storage", torch.dtype() as dtype, str(number), str(), int(count)):
                return _Entry(self._archive, f"{self._folder}/{number}", dtype, count)
        raise RefusedError("it refers to something that is no tensor")


def _tensors(module: object, prefix: str, depth: int, visits: Iterator[int]) -> Iterator[tuple[str, StoredTensor]]:
    if depth > DEEPEST or not isinstance(module, _ScriptModule):
        raise RefusedError("its modules are no tree")
    for name, value in module.attributes.items():
        if next(visits) >= MOST_VALUES:  # a small pickle can name a module often enough to walk for ever
            raise RefusedError(f"its modules hold more than {MOST_VALUES} values")
        if isinstance(value, StoredTensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _ScriptModule):
            yield from _tensors(value, f"{prefix}{name}.", depth + 1, visits)


def _same(value: object) -> object:
    return value


def _first(value: object, _tag: object) -> object:
    return value
