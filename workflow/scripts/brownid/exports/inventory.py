"""The record of an export: what the training set holds, and the size and checksum of every file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brownid.exports.training_set import TrainingSet
from brownid.jobs.workers import in_processes
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.runtime.process import progress
from brownid.runtime.text import read_json

RECORD = "export.json"  # in the folder of an exported training set; no part of the layout


@dataclass(frozen=True)
class TrainingSetRecord:
    """Statements about a training set, the same in every layout."""

    name: str
    rows: int
    classes: int
    image_size: int  # pixels
    latent_dimension: int | None
    w_plus_shape: list[int] | None  # layers and dimension of latents in W+
    embedding_dimension: int | None
    datasets: dict[str, int]  # rows by dataset, in the order in which they are joined

    @classmethod
    def of(cls, training_set: TrainingSet) -> "TrainingSetRecord":
        """The record of a training set."""
        return cls(
            name=training_set.name,
            rows=len(training_set),
            classes=len(training_set.classes),
            image_size=training_set.image_size,
            latent_dimension=training_set.latent_dimension,
            w_plus_shape=list(training_set.w_plus_shape) if training_set.w_plus_shape else None,
            embedding_dimension=training_set.embedding_dimension,
            datasets=dict(training_set.datasets),
        )


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export."""

    path: str  # inside the folder, with '/'
    size: int  # bytes
    checksum: str  # SHA-256, hexadecimal


def write_record(folder: Path, training_set: TrainingSet, layout: str, processes: int) -> None:
    """Write export.json about an exported training set into its folder; the checksums are computed in processes."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = in_processes(_described, folder, paths, processes)
    content = {
        "layout": layout,
        "training_set": asdict(TrainingSetRecord.of(training_set)),
        "files": [asdict(file) for file in progress(files, "computing checksums", "file", total=len(paths))],
    }
    (folder / RECORD).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _described(folder: Path, path: str) -> ExportedFile:
    return ExportedFile(path, (folder / path).stat().st_size, sha256(folder / path))


def read_record(path: Path) -> tuple[TrainingSetRecord, Sequence[ExportedFile]]:
    """What an export.json says; anything else is a BrownidError naming the file."""
    content: Any = read_json(path)
    try:
        return TrainingSetRecord(**content["training_set"]), [ExportedFile(**file) for file in content["files"]]
    except (KeyError, TypeError) as error:
        raise BrownidError(
            f"{path}: this is no record of an exported training set ({error}); export it again."
        ) from None
