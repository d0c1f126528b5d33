"""Values that stand in for what a pickle names: they hold data, do nothing, and cannot be changed by the pickle."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from brownid.errors import BrownidError
from brownid.pickles import RefusedError

PlainValue = None | bool | int | float | str | list["PlainValue"] | dict[str, "PlainValue"]

MOST_VALUES = 100_000  # of one generator: a small pickle can refer to one list often enough to fill any memory
_NUMBERS = "biuf"  # kinds of numpy numbers: truth values, signed and unsigned integers, floating point


class TensorFlowError(RefusedError):
    """The pickle holds a network of NVIDIA's programs for TensorFlow."""


def file_error(path: object, error: Exception) -> BrownidError:
    """The sentence for a file that was refused or could not be read."""
    if isinstance(error, TensorFlowError):
        return BrownidError(
            f"{path}: a TensorFlow network of NVIDIA's older programs, which is not read here. Convert it once with "
            "`python legacy.py --source=OLD.pkl --dest=NEW.pkl` of github.com/NVlabs/stylegan3 (which executes code "
            "that the file names: only for a file that you trust), and give the new file."
        )
    if isinstance(error, RefusedError):
        return BrownidError(f"{path}: the file was refused and nothing in it was executed: {error}.")
    reason = str(error).split("\n")[0]  # torch writes pages
    return BrownidError(
        f"{path}: the file is truncated or damaged ({type(error).__name__}: {reason}); fetch or copy it again."
    )


class Frozen:
    """Base of the stand-ins: a pickle cannot give them a state."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise RefusedError(f"it changes {self!r}, which must stay as it is")


class Function(Frozen):
    """A function of ours under the name of a published one."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __repr__(self) -> str:
        return f"the function {self._function.__name__}"


class Items(dict):
    """A dict of a class of its own, such as `OrderedDict`: the items, without attributes beside them."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Nobody needs the attributes, and Python before 3.11 writes them even where there are none."""


class NumberType:
    """`numpy.dtype(name, ...)` of a plain number; the state that follows tells the byte order."""

    __slots__ = ("dtype",)

    def __init__(self, name: object, *_: object):
        try:
            self.dtype = np.dtype(name) if isinstance(name, str) else None
        except TypeError:
            self.dtype = None
        if self.dtype is None or self.dtype.kind not in _NUMBERS:
            raise RefusedError(f"it holds a numpy array of type {name!r}, and only plain numbers are read")

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "=", "|"):
            raise RefusedError("it holds a numpy type with an unknown state")
        self.dtype = self.dtype.newbyteorder(order)


class Array:
    """A numpy array: `_reconstruct(...)`, whose state follows."""

    __slots__ = ("values",)

    def __init__(self, *_: object):
        self.values = np.empty(0, np.float32)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise RefusedError("it holds a numpy array with an unknown state")
        _, shape, number_type, column_major, raw = state
        self.values = _numbers(raw, number_type, shape, "F" if column_major else "C")


def array_from_buffer(raw: object, number_type: object, shape: object, order: object) -> Array:
    """`numpy.core.numeric._frombuffer(raw, dtype, shape, order)`: an array as protocol 5 writes it."""
    array = Array()
    array.values = _numbers(raw, number_type, shape, "F" if order == "F" else "C")
    return array


def number(number_type: object, raw: object) -> bool | int | float:
    """`numpy.core.multiarray.scalar(dtype, raw)` as a number of Python's own."""
    return _numbers(raw, number_type, (), "C").item()


def _numbers(raw: object, number_type: object, shape: object, order: str) -> np.ndarray:
    if not isinstance(raw, bytes | bytearray) or not isinstance(number_type, NumberType):
        raise RefusedError("it holds a numpy array whose content is not raw bytes")
    if not is_shape(shape) or math.prod(shape) * number_type.dtype.itemsize != len(raw):
        raise RefusedError("it holds a numpy array whose shape and content do not fit")
    return np.frombuffer(bytes(raw), number_type.dtype).reshape(shape, order=order)


def is_shape(value: object) -> bool:
    """Is it a tuple of non-negative integers?"""
    return isinstance(value, tuple) and all(type(size) is int and size >= 0 for size in value)


def plain(value: object, name: str) -> PlainValue:
    """`value` in what JSON knows: numbers, text, lists (of tuples, sets, arrays) and dicts with text keys.

    `name` tells whose value it is in the `RefusedError` for anything else, and for more than `MOST_VALUES` of them.
    """
    left = MOST_VALUES

    def convert(value: object) -> PlainValue:
        nonlocal left
        left -= value.values.size if isinstance(value, Array) else 1
        if left < 0:
            raise RefusedError(f"its {name} hold more than {MOST_VALUES} values")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Array):
            return value.values.tolist()
        if isinstance(value, list | tuple):
            return [convert(item) for item in value]
        if isinstance(value, set):
            return sorted((convert(item) for item in value), key=repr)
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: convert(item) for key, item in value.items()}
        raise RefusedError(f"its {name} hold a {type(value).__name__}, which is no plain value")

    return convert(value)
