"""NumPy arrays in a pickle: their data are examined and read when they are needed. Needs no torch."""

import math
import re
from typing import Any, TypeGuard

import numpy as np

from brownid.weights.unpickler import Function, Inert, RefusedError

_NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"b1", "f2", "f4", "f8"}
_BYTES = re.compile(r"[SV][1-9][0-9]{0,8}")  # byte strings of one length
_OBJECTS = ("O", "O8", "O4")
_MOST_DIMENSIONS = 64  # of numpy


class NumberType(Inert):
    """`numpy.dtype(name, ...)`: `dtype` is None unless it is that of plain numbers, byte strings, or objects."""

    __slots__ = ("dtype",)

    def __init__(self, name: object = None, *_: object):
        name = name.decode("latin-1") if isinstance(name, bytes) else name
        self.dtype: np.dtype | None = None
        if isinstance(name, str) and (name in _NUMBERS or name in _OBJECTS or _BYTES.fullmatch(name)):
            self.dtype = np.dtype("O" if name in _OBJECTS else name)

    def set_state(self, state: object) -> None:
        """The byte order and, of types made of several, the parts; such are not read."""
        order: Any
        order, *parts = state[1:5] if isinstance(state, tuple) and len(state) > 4 else (None,)
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        plain = isinstance(order, str) and order in {"<", ">", "=", "|"} and parts == [None, None, None]
        self.dtype = self.dtype.newbyteorder(order) if plain and self.dtype is not None else None


class Array(Inert):
    """A numpy array: its content as it is in the file, and how it is to be understood."""

    __slots__ = ("_content", "_described")

    def __init__(self, content: object = b"", *described: object):
        self._content = content
        self._described: tuple[object, ...] = described  # shape, type, order and, where the order is K, axes

    def set_state(self, state: object) -> None:
        """(version, shape, type, in Fortran's order?, content)."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise RefusedError("it holds a numpy array with an unknown state")
        *_, shape, number_type, column_major, content = state
        self._content, self._described = content, (shape, number_type, "F" if column_major else "C")

    def parts(self) -> list:
        """The objects of an array of objects."""
        return self._content if isinstance(self._content, list) else []

    @property
    def size(self) -> int:
        """Declared number of values; 0 if it is not declared."""
        shape = self._described[0] if self._described else None
        return math.prod(shape) if is_shape(shape) else 0

    @property
    def values(self) -> np.ndarray:
        """The array; `RefusedError` where it is not one of plain numbers, byte strings or objects."""
        shape, number_type, order, *axes = self._described or ((0,), NumberType("f4"), "C")
        return array_values(self._content, number_type, shape, order, *axes)


def array_values(
    content: object, number_type: object, shape: object, order: object = "C", axes: object = None
) -> np.ndarray:
    """A numpy array of raw bytes (not copied) or, for the type of objects, of a list."""
    if not isinstance(number_type, NumberType) or number_type.dtype is None:
        raise RefusedError("it holds a numpy array of another type than plain numbers")
    content = content.encode() if isinstance(content, str) else content  # of Python 2, and read as text
    objects = number_type.dtype == object
    if not isinstance(content, list if objects else bytes | bytearray):
        raise RefusedError("it holds a numpy array whose content is neither raw bytes nor a list of objects")
    if not is_shape(shape) or math.prod(shape) * (1 if objects else number_type.dtype.itemsize) != len(content):
        raise RefusedError("it holds a numpy array whose shape and content do not fit")
    if isinstance(content, list):
        flat = np.empty(len(content), object)
        for place, value in enumerate(content):
            flat[place] = value
    else:
        flat = np.frombuffer(content, number_type.dtype)
    if is_shape(axes) and sorted(axes) == list(range(len(shape))):
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order="F" if order in ("F", b"F") else "C")


def number(number_type: object, content: object = None) -> object:
    """`numpy.core.multiarray.scalar(dtype, raw)` as a number, or bytes, of Python's own."""
    if isinstance(number_type, NumberType) and number_type.dtype == object:
        return content
    return array_values(content, number_type, ()).item()


def is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    """Whether a value is a tuple of sizes."""
    return (
        isinstance(value, tuple)
        and len(value) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 2**63 for size in value)
    )


def _from_buffer(content: object, number_type: object, shape: object, *order: object) -> Array:
    """`numpy.core.numeric._frombuffer(raw, dtype, shape, order, axes)`: an array as protocol 5 writes it."""
    return Array(content, shape, number_type, *order)


NAMES: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): Inert(),
    ("numpy", "dtype"): Function(NumberType),
    **{
        (f"numpy.{core}.{module}", name): Function(stand_in)
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", lambda *_: Array()),
            ("multiarray", "scalar", number),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
