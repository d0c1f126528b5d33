"""What a release is made of: its description, and the files of each dataset and model."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from brownid.errors import BrownidError

SHARED_FOLDERS = ("trained_models", "databases", "covariates", "hypersphere", "scores", "figures")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
INTENDED_USE = (
    "Research on face recognition: training and comparing recognition networks without images of real persons. "
    "It is not meant for identifying or tracking people, and an accuracy measured on it alone says nothing about "
    "how fair or safe a deployed system would be."
)


@dataclass(frozen=True)
class ReleaseDescription:
    """What the README and the metadata say in words; all of it is the publisher's to decide."""

    name: str  # short, serves as an identifier
    description: str  # a paragraph
    creator: str  # a person or an institution
    licence: str  # of the data: a name or an SPDX identifier
    version: str = "1.0.0"
    intended_use: str = INTENDED_USE
    readme_context: str = ""  # further Markdown for the README: how it was made, what to cite

    def __post_init__(self) -> None:
        check_name("release", self.name)
        for what in ("description", "creator", "licence", "version", "intended_use"):
            if not getattr(self, what).strip():
                raise BrownidError(f"the release {self.name!r} needs a {what.replace('_', ' ')}; it is empty.")


@dataclass(frozen=True)
class DatasetPart:
    """One published dataset; every sample has one image in the shards and the reverse."""

    name: str
    samples: Path  # a collection, of ours or published
    command: Path  # command.yml
    image_shards: tuple[Path, ...]
    statistics: Path | None = None  # stats.h5, where a dynamics made the samples

    def __post_init__(self) -> None:
        check_name("dataset", self.name)
        if self.name in SHARED_FOLDERS:
            raise BrownidError(
                f"a dataset cannot be called {self.name!r}, a release has a folder of that name already."
            )
        if not self.image_shards:
            raise BrownidError(f"the dataset {self.name!r} needs at least one image shard.")

    def sources(self) -> list[Path]:
        """The files it is made from."""
        return [self.samples, self.command, *self.image_shards, *([self.statistics] if self.statistics else [])]


@dataclass(frozen=True)
class ModelPart:
    """One trained network with its results."""

    name: str
    checkpoint: Path  # .ckpt, of Lightning
    weights: Path  # .safetensors, to load without executing anything
    history: Path  # CSV, a row an epoch
    hyperparameters: Path  # YAML
    scores: Path  # JSON
    results: tuple[Path, ...] = ()  # further files for its results folder: a log, a picture of a training batch

    def __post_init__(self) -> None:
        check_name("model", self.name)

    def places(self) -> dict[PurePosixPath, Path]:
        """Path in the release -> file it is copied from."""
        folder = PurePosixPath("trained_models")
        results = folder / "results" / self.name
        return {
            folder / f"{self.name}.ckpt": self.checkpoint,
            folder / f"{self.name}.safetensors": self.weights,
            results / "history.csv": self.history,
            results / "hyperparameters.yml": self.hyperparameters,
            results / "scores.json": self.scores,
            **{results / Path(path).name: path for path in self.results},
        }


@dataclass(frozen=True)
class FilePart:
    """Any other file or folder: a database index, a covariate, a table, a figure."""

    source: Path
    path: str  # in the release, below one of `SHARED_FOLDERS`

    def __post_init__(self) -> None:
        place = release_path(self.path)
        if len(place.parts) < 2 or place.parts[0] not in SHARED_FOLDERS:
            folders = ", ".join(SHARED_FOLDERS)
            raise BrownidError(f"the file {self.path!r} must go into one of the release's folders: {folders}.")


def check_name(what: str, name: str) -> None:
    """Raise BrownidError for a name that cannot be a file name everywhere."""
    if not NAME.fullmatch(name):
        raise BrownidError(f"the {what} name {name!r} must consist of letters, digits, '.', '_' and '-'.")


def release_path(text: str) -> PurePosixPath:
    """A path inside a release; one that is absolute, climbs out or holds odd characters is a BrownidError."""
    path = PurePosixPath(text)
    plain = text and str(path) == text and not path.is_absolute() and ".." not in path.parts
    if not plain or re.search(r"[\x00-\x1f\x7f\\:]", text):
        raise BrownidError(f"the path {text!r} is refused: it does not stay plainly inside the release folder.")
    return path
