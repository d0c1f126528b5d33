"""Pickles and torch files read as data: nothing that a file names is imported or called."""

from brownid.pickles.reader import PickleReader
from brownid.pickles.standins import Function, Inert, Placeholder, RefusedError, check_needed, is_name, short_reason

__all__ = [
    "Function",
    "Inert",
    "PickleReader",
    "Placeholder",
    "RefusedError",
    "check_needed",
    "is_name",
    "short_reason",
]
