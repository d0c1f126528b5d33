"""Torch files read as data: tensors and plain containers, on the CPU; what names code is refused by name."""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from brownid.pickles import RefusedError, check_opcodes

_ZIP = b"PK\x03\x04"  # as torch tells its newer format from the older
_OLD_PICKLES = 5  # magic number, protocol, machine, content, keys; raw numbers follow
_ADVICE = "In PyTorch 2.6"  # how it begins
_NAMED_BY_TORCH = re.compile(r"GLOBAL (\S+)|module (\S+) is blocked")
_REASON_OF_TORCH = re.compile(r"WeightsUnpickler error:\s*([^\n]+)")


class Ignored:
    """Takes the place of an object that nobody needs, such as training settings: keeps nothing, does nothing."""

    def __new__(cls, *_arguments: object, **_keywords: object) -> "Ignored":
        return super().__new__(cls)

    def __init__(self, *_arguments: object, **_keywords: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def load_torch(file: Path | io.BytesIO, ignored: tuple[str, ...] = ("argparse.Namespace",)) -> object:
    """Tensors and containers of a torch file, on the CPU wherever they were written.

    An object whose class begins with one of `ignored` is an `Ignored`; in torch's older format only a whole name can be
    ignored. Raises `RefusedError` that names any other class, and whatever a damaged file makes torch raise, without
    the advice that torch gives then: to execute the file.
    """
    if isinstance(file, Path):
        with open(file, "rb") as opened:
            zipped = _check_pickles(opened)
    else:
        zipped = _check_pickles(file)
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file) if zipped else ignored
        stand_ins = [(type("Ignored", (Ignored,), {}), name) for name in names if name.startswith(ignored)]
        if not isinstance(file, Path):
            file.seek(0)
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        if (named := _NAMED_BY_TORCH.search(str(error))) is not None:
            name = named[1] or named[2]
            raise RefusedError(f"it names {name}, and only tensors and plain containers are read") from error
        if _ADVICE not in str(error):
            raise
        reason = _REASON_OF_TORCH.search(str(error))
        raise pickle.UnpicklingError(reason[1] if reason else str(error).partition(_ADVICE)[0].strip()) from None


def _check_pickles(file: BinaryIO) -> bool:
    """Look through the opcodes of every pickle in a torch file; is it one of the newer format, a ZIP file?"""
    zipped = file.read(len(_ZIP)) == _ZIP
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not zipped:
        for _ in range(_OLD_PICKLES):
            check_opcodes(file, length)
        file.seek(0)
        return False
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith("data.pkl"):
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise RefusedError(f"its entry {entry.filename} is compressed, which torch never does")
                check_opcodes(archive.read(entry), entry.file_size)
    file.seek(0)
    return True
