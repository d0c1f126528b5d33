"""What a generator's file says besides its tensors, as plain values, and the sentences for files that are refused."""

from collections.abc import Mapping

import numpy as np

from brownid.errors import BrownidError
from brownid.pickles import RefusedError, is_name, short_reason
from brownid.pickles.arrays import Array

PlainValue = None | bool | int | float | str | list["PlainValue"] | dict[str, "PlainValue"]

MOST_VALUES = 100_000  # of one generator: a small pickle can refer to one list often enough to fill any memory
_NUMBERS = "biuf"  # kinds of numpy numbers: truth values, signed and unsigned integers, floating point
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
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
            return value.tolist()
        if isinstance(value, list | tuple):
            return [convert(item, depth + 1) for item in value]
        if isinstance(value, set):
            return sorted((convert(item, depth + 1) for item in value), key=repr)
        if isinstance(value, Mapping) and all(is_name(key) for key in value):
            return {key: convert(item, depth + 1) for key, item in value.items()}
        raise RefusedError(f"its {name} hold a {type(value).__name__}, which is no plain value")

    return convert(value, 0)
