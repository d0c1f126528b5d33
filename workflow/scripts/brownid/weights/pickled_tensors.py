"""Tensors, and the plain values next to them, in a pickle: their data are examined and read when they are needed."""

import io
import math
import mmap
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from brownid.runtime.errors import BrownidError
from brownid.weights.pickled_arrays import NAMES, Array, is_shape
from brownid.weights.unpickler import Function, Inert, PickleReader, Placeholder, RefusedError, is_name, short_reason

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
_TYPES: dict[tuple[str, str], object] = {
    **{("torch", name): kind for name, kind in vars(torch).items() if isinstance(kind, torch.dtype)},
    **{(f"torch{of}", name): kind for of in ("", ".cuda", ".storage") for name, kind in _STORAGES.items()},
}
_DEVICES = ("cpu", "cuda", "mps", "xpu", "xla", "hpu", "meta")
_MOST_COPIES = 4  # numbers of all tensors, a shared one counted each time, for each byte of the file
_FREE = 1 << 20  # numbers that any file may have


class Storage(Inert):
    """The numbers `[n]` of one or several tensors, on the CPU wherever they were written."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Callable[[], Tensor]):
        self.numbers = numbers


class StoredTensor(Inert):
    """A tensor or parameter: a part of a storage, of another type than it if `dtype` is one.

    `count` is called with the number of its elements whenever they are read.
    """

    __slots__ = ("_count", "_dtype", "_offset", "_shape", "_storage", "_stride")

    def __init__(
        self,
        storage: object,
        offset: object,
        shape: object,
        stride: object,
        dtype: torch.dtype | None,
        count: Callable[[int], None],
    ):
        start = (offset,)
        if not isinstance(storage, Storage) or not is_shape(start) or not is_shape(shape) or not is_shape(stride):
            raise RefusedError("it holds a tensor whose description is not as torch writes it")
        self._storage, self._offset, self._shape, self._stride = storage, start[0], shape, stride
        self._dtype, self._count = dtype, count

    def view(self) -> Tensor:
        """The tensor, in the memory of its storage. What a file may hold in all is counted."""
        self._count(math.prod(self._shape))
        numbers = self._storage.numbers()
        numbers = numbers if self._dtype is None else numbers.view(self._dtype)
        steps = sum((size - 1) * step for size, step in zip(self._shape, self._stride, strict=True))
        if 0 not in self._shape and self._offset + steps >= numbers.numel():
            raise RefusedError(f"it holds a tensor {list(self._shape)} that does not fit its content")
        return numbers.as_strided(self._shape, self._stride, self._offset)

    def load(self) -> Tensor:
        """The tensor in float32, in memory of its own."""
        view = self.view()
        if view.is_complex():
            raise RefusedError("it holds a tensor of complex numbers")
        return view.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


class TensorReader(PickleReader):
    """Reads tensors besides plain values; `finished` says what becomes of a tensor."""

    only = "only tensors and plain containers are read"
    atoms = (Inert, Tensor, torch.dtype)

    def __init__(self, content: bytes | io.BytesIO | mmap.mmap, length: int | None = None):
        super().__init__(content, length)
        self._numbers_left = _MOST_COPIES * self._length + _FREE
        self.names |= NAMES | _TYPES
        self.names |= {
            ("torch._utils", name): Function(make)
            for name, make in (
                ("_rebuild_tensor", self._tensor),
                ("_rebuild_tensor_v2", self._tensor),
                ("_rebuild_tensor_v3", self._tensor_of_type),
                ("_rebuild_parameter", self._parameter),
                ("_rebuild_parameter_with_state", self._parameter),
            )
        }
        self.names |= {
            ("torch._tensor", "_rebuild_from_type_v2"): Function(self._of_class),
            ("torch", "Size"): Function(_size),
            ("torch", "device"): Function(_device),
        }

    def finished(self, tensor: StoredTensor) -> object:
        """Converted value of a tensor."""
        return tensor

    def count_numbers(self, numbers: int) -> None:
        """Count the numbers of a tensor; `RefusedError` for more than a file of this length can mean."""
        self._numbers_left -= numbers
        if self._numbers_left < 0:
            raise RefusedError("the size that it gives its tensors does not fit its content")

    def _tensor(
        self,
        storage: object,
        offset: object,
        shape: object,
        stride: object,
        _grad: object = None,
        hooks: object = None,
        *_: object,
    ) -> object:
        """`torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks, ...)`."""
        _check_hooks(hooks)
        return self.finished(StoredTensor(storage, offset, shape, stride, None, self.count_numbers))

    def _tensor_of_type(
        self,
        storage: object,
        offset: object,
        shape: object,
        stride: object,
        _grad: object,
        hooks: object,
        dtype: object,
        *_: object,
    ) -> object:
        """`torch._utils._rebuild_tensor_v3(...)`: of a type that has no storage of its own."""
        _check_hooks(hooks)
        if not isinstance(dtype, torch.dtype):
            raise RefusedError("it holds a tensor without a type")
        return self.finished(StoredTensor(storage, offset, shape, stride, dtype, self.count_numbers))

    def _parameter(self, tensor: object, _grad: object, hooks: object, *_: object) -> object:
        """`torch._utils._rebuild_parameter(tensor, requires_grad, hooks)`."""
        _check_hooks(hooks)
        if isinstance(tensor, Placeholder):
            return tensor
        if not isinstance(tensor, StoredTensor | Tensor):
            raise RefusedError("it holds a parameter that is no plain tensor")
        return tensor

    def _of_class(self, function: object, _kind: object, arguments: object, *_: object) -> object:
        """`torch._tensor._rebuild_from_type_v2(function, class, arguments, state)`: a tensor with attributes."""
        return self.call(function, arguments)


def _check_hooks(hooks: object) -> None:
    if hooks:
        raise RefusedError("it holds a tensor with backward hooks, which are code")


def _size(sizes: object = ()) -> tuple:
    if not isinstance(sizes, tuple | list) or not is_shape(tuple(sizes)):
        raise RefusedError("it holds a torch.Size of something else than sizes")
    return tuple(sizes)


def _device(kind: object, index: object = None) -> str:
    kind, _, number = kind.partition(":") if isinstance(kind, str) else ("", "", "")
    index = int(number) if number.isdecimal() and len(number) < 5 else index
    if kind not in _DEVICES or not (index is None or (type(index) is int and -1 <= index < 10_000)):
        raise RefusedError("it holds a torch.device that torch does not have")
    return kind if index is None else f"{kind}:{index}"


PlainValue = None | bool | int | float | str | list["PlainValue"] | dict[str, "PlainValue"]

MOST_VALUES = 100_000  # of one generator: a small pickle can refer to one list often enough to fill any memory
_NUMBER_TYPES = "biuf"  # kinds of numpy numbers: truth values, signed and unsigned integers, floating point
DEEPEST_VALUE = 50  # lists in lists; published constructor arguments have 2
TENSORFLOW = ("dnnlib.tflib.", "tfutil")  # modules that only NVIDIA's programs for TensorFlow have


def file_error(path: object, error: Exception) -> BrownidError:
    """The sentence for a file that was refused or could not be read."""
    if isinstance(error, RefusedError) and str(error).removeprefix("it names ").startswith(TENSORFLOW):
        return BrownidError(
            f"{path}: a TensorFlow network of NVIDIA's older programs, which is not read here. Convert it once with "
            "`python legacy.py --source=OLD.pkl --dest=NEW.pkl` of github.com/NVlabs/stylegan3 (which executes code "
            "that the file names: only for a file that you trust), and give the new file."
        )
    if isinstance(error, RefusedError):
        return BrownidError(f"{path}: the file was refused and nothing in it was executed: {error}.")
    return BrownidError(f"{path}: the file is truncated or damaged ({short_reason(error)}); fetch or copy it again.")


def plain(value: object, name: str) -> PlainValue:
    """`value` in what JSON knows: numbers, text, lists (of tuples, sets, arrays) and dicts with text keys.

    `name` tells whose value it is in the `RefusedError` for anything else, and for more than `MOST_VALUES` of them.
    """
    left = MOST_VALUES

    def convert(value: object, depth: int) -> PlainValue:
        nonlocal left
        value = value.values if isinstance(value, Array) else value
        left -= value.size if isinstance(value, np.ndarray) else len(value) if isinstance(value, str) else 1
        if left < 0 or depth > DEEPEST_VALUE:
            raise RefusedError(
                f"its {name} hold more than {MOST_VALUES} values, or lists more than {DEEPEST_VALUE} deep"
            )
        if value is None or (isinstance(value, bool | int | float | str) and type(value) in (bool, int, float, str)):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBER_TYPES:
            return value.tolist()
        if isinstance(value, list | tuple):
            return [convert(item, depth + 1) for item in value]
        if isinstance(value, set):
            return sorted((convert(item, depth + 1) for item in value), key=repr)
        if isinstance(value, Mapping) and all(is_name(key) for key in value):
            return {key: convert(item, depth + 1) for key, item in value.items()}
        raise RefusedError(f"its {name} hold a {type(value).__name__}, which is no plain value")

    return convert(value, 0)
