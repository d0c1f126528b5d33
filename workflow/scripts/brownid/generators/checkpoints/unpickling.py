"""A pickle read as data: every name in it either has a stand-in that only holds data, or is refused."""

import io
import pickle

import torch

from brownid.generators.checkpoints.modules import rebuild_module
from brownid.generators.checkpoints.plain import (
    Array,
    Function,
    Items,
    NumberType,
    TensorFlowError,
    array_from_buffer,
    is_shape,
    number,
)
from brownid.generators.checkpoints.tensors import Storage, rebuild_parameter, rebuild_tensor
from brownid.pickles import RefusedError, check_opcodes

_TENSORFLOW = ("dnnlib.tflib.", "tfutil")  # modules that only NVIDIA's programs for TensorFlow have


def _make_array(*_: object) -> Array:
    return Array()


def _make_number_type(*arguments: object) -> NumberType:
    return NumberType(*arguments)


def _make_storage(raw: object) -> Storage:
    return Storage(raw)


def _make_size(sizes: object = ()) -> tuple:
    if not is_shape(tuple(sizes)):  # other tuples than those of the opcodes, whose depth was looked at
        raise RefusedError("it holds a torch.Size of something else than sizes")
    return tuple(sizes)


def _make_device(kind: object, index: object = None) -> str:
    return f"{kind}" if index is None else f"{kind}:{index}"


# None of these can be changed by the pickle: a class must be built in, or have a `__setstate__`, like `Items`.
_KNOWN_NAMES: dict[tuple[str, str], object] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Function(rebuild_module),
    ("dnnlib.util", "EasyDict"): Items,
    ("collections", "OrderedDict"): Items,
    ("builtins", "set"): set,
    ("torch._utils", "_rebuild_parameter"): Function(rebuild_parameter),
    ("torch._utils", "_rebuild_tensor_v2"): Function(rebuild_tensor),
    ("torch.storage", "_load_from_bytes"): Function(_make_storage),
    ("torch", "Size"): Function(_make_size),
    ("torch", "device"): Function(_make_device),
    **{("torch", name): f"torch.{name}" for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)},
    ("numpy", "ndarray"): "numpy.ndarray",
    ("numpy", "dtype"): Function(_make_number_type),
    **{
        (f"numpy.{core}.{module}", name): Function(stand_in)
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _make_array),
            ("multiarray", "scalar", number),
            ("numeric", "_frombuffer", array_from_buffer),
        )
    },
}


def read_pickle(data: bytes) -> object:
    """What a pickle holds, in plain containers and the stand-ins of this package.

    Raises `RefusedError` for a name without a stand-in, and whatever the opcodes of a damaged pickle happen to raise.
    """
    check_opcodes(data, len(data))
    return _DataUnpickler(io.BytesIO(data)).load()


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """The stand-in of a known name, without importing anything."""
        if (module, name) in _KNOWN_NAMES:
            return _KNOWN_NAMES[module, name]
        if module.startswith(_TENSORFLOW):
            raise TensorFlowError(f"it names {module}.{name}")
        raise RefusedError(f"it names {module}.{name}, and a generator's file needs only tensors and plain containers")

    def persistent_load(self, key: object) -> object:
        """Refused: these files refer to nothing outside themselves."""
        raise RefusedError("it refers to an object outside the file")
