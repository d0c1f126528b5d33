"""The tensors of a TorchScript archive, read as data: the code in it is neither compiled nor run.

An archive (`torch.jit.save`) is a ZIP file: `code/` holds the program, `data.pkl` the tree of its modules, and
`data/<number>` the numbers of each tensor.
"""

import itertools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from brownid.files import check_regular
from brownid.generators.checkpoints.plain import MOST_VALUES, file_error
from brownid.pickles import Function, Inert, RefusedError, is_name
from brownid.pickles.tensors import StoredTensor
from brownid.torchfiles import ArchiveReader

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
