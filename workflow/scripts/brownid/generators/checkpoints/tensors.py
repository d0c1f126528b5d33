"""Tensors inside a pickle: kept as the bytes they were written in until somebody wants their numbers."""

import io
import math
import warnings

import torch
from torch import Tensor

from brownid.generators.checkpoints.plain import Frozen, is_shape
from brownid.pickles import RefusedError
from brownid.torchfiles import load_torch


class Storage(Frozen):
    """`torch.storage._load_from_bytes(raw)`: a small torch file inside the pickle."""

    __slots__ = ("_numbers", "_raw")

    def __init__(self, raw: object):
        if not isinstance(raw, bytes | bytearray):
            raise RefusedError("it holds a tensor whose content is not raw bytes")
        self._raw, self._numbers = raw, None

    def numbers(self) -> Tensor:
        """All numbers of the storage, `[n]`, on the CPU wherever they were written."""
        if self._numbers is None:
            stored = load_torch(io.BytesIO(self._raw))
            if not isinstance(stored, torch.storage.TypedStorage):
                raise RefusedError(f"it holds a {type(stored).__name__} where the numbers of a tensor should be")
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "TypedStorage is deprecated")  # the published files have no other
                self._numbers = torch.empty(0, dtype=stored.dtype).set_(stored.untyped())
        return self._numbers


class StoredTensor(Frozen):
    """A tensor or parameter: a part of a storage."""

    __slots__ = ("_offset", "_shape", "_storage", "_stride")

    def __init__(self, storage: object, offset: object, shape: object, stride: object):
        if not isinstance(storage, Storage) or not is_shape((offset,)) or not is_shape(shape) or not is_shape(stride):
            raise RefusedError("it holds a tensor whose description is not as torch writes it")
        self._storage, self._offset, self._shape, self._stride = storage, offset, shape, stride

    def load(self) -> Tensor:
        """The tensor in float32, in memory of its own."""
        numbers = self._storage.numbers()
        if math.prod(self._shape) > numbers.numel() or numbers.is_complex():
            raise RefusedError(f"it holds a tensor {list(self._shape)} that does not fit its content")
        tensor = numbers.as_strided(self._shape, self._stride, self._offset)
        return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def rebuild_tensor(
    storage: object, offset: object, shape: object, stride: object, _gradient: object, hooks: object, *_: object
) -> StoredTensor:
    """`torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks, ...)`."""
    if hooks:
        raise RefusedError("it holds a tensor with backward hooks, which are code")
    return StoredTensor(storage, offset, shape, stride)


def rebuild_parameter(tensor: object, _gradient: object, hooks: object) -> StoredTensor:
    """`torch._utils._rebuild_parameter(tensor, requires_grad, hooks)`."""
    if hooks or not isinstance(tensor, StoredTensor):
        raise RefusedError("it holds a parameter that is no plain tensor")
    return tensor
