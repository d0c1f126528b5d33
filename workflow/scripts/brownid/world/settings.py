"""Settings of the captures: which people of the embedded world are photographed, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from brownid.databases.multipie import EXPRESSION_OF_RECORDING, FRONTAL_CAMERA, FRONTAL_FLASH, Picture
from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import REQUIRED, Settings, setting

CAMERAS = ("08_0", "13_0", "14_0", "05_1", "05_0", "04_1", "19_0")  # those to whose yaw the world can turn
FLASHES = (*range(14), 16)
EXPRESSIONS = ("neutral", "smile", "surprise", "squint", "disgust", "scream")


@dataclass(frozen=True)
class PeopleRange:
    """The persons number `first` to `first + count - 1` of a world."""

    first: int
    count: int

    def __post_init__(self) -> None:
        if self.first < 0 or self.count < 1:
            raise BrownidError(
                f"People {self.first} and {self.count} more are no range of persons: `first_person` is at least 0 "
                "and the number of people at least 1."
            )

    @property
    def items(self) -> range:
        """The persons' item numbers."""
        return range(self.first, self.first + self.count)


def check_disjoint(ranges: Mapping[str, PeopleRange]) -> None:
    """Raise BrownidError naming two databases that share a person, and the person."""
    ordered = sorted(ranges.items(), key=lambda entry: entry[1].first)
    for (name, people), (next_name, next_people) in pairwise(ordered):
        if next_people.first < people.first + people.count:
            raise BrownidError(
                f"{name} (persons {people.first} to {people.items[-1]}) and {next_name} (from {next_people.first}) "
                f"share person {next_people.first}; give {next_name} a `first_person` of at least "
                f"{people.first + people.count}."
            )


@dataclass(frozen=True)
class ProceduralSettings(Settings):
    """The embedded world, a procedural renderer of faces."""

    latent_dim: int = setting(512, "Dimension D of the latent space.", minimum=128)
    image_size: int = setting(56, "Image side.", unit="pixels", minimum=16, maximum=512)
    world_seed: int = setting(1, "Seed of the world: another seed, other people and looks.", minimum=0)
    warp: float = setting(
        0.0,
        "Bend of the latent space, which makes nuisance nonlinear in the latent; 0 for none, invertible up to 0.45.",
        minimum=0,
        maximum=0.45,
    )


@dataclass(frozen=True)
class MultipieCapture(Settings):
    """Controlled capture of the embedded world in MultiPIE's naming.

    Of each subject every camera, every flash and every expression once: P_center_lit sees all `cameras` (neutral,
    frontal flash), U all `flashes` (neutral, frontal camera), E_lit one recording of each of `expressions` (frontal
    camera and flash). The default makes 18 pictures a subject.
    """

    first_person: int = setting(REQUIRED, "Number of the first person.", minimum=0)
    subjects: int = setting(20, "Number of people.", minimum=2, maximum=999)
    cameras: tuple[str, ...] = setting(CAMERAS, "Cameras, by MultiPIE's names.", choices=CAMERAS)
    flashes: tuple[int, ...] = setting((1, 2, 3, 7, 11, 12, 13), "Flashes, by MultiPIE's numbers.", choices=FLASHES)
    expressions: tuple[str, ...] = setting(EXPRESSIONS, "Expressions.", choices=EXPRESSIONS)
    nuisance_std: float = setting(
        0.15, "Standard deviation of the raw nuisance around what is asked for.", minimum=0, maximum=10
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        compared = {"cameras": FRONTAL_CAMERA, "flashes": FRONTAL_FLASH, "expressions": "neutral"}
        for name, needed in compared.items():
            if needed not in getattr(self, name):
                raise BrownidError(
                    f"MultipieCapture.{name} lacks {needed!r}, with which the others are compared; add it."
                )

    def pictures(self) -> list[Picture]:
        """The pictures of all subjects, each once, subject by subject; subject 1 is the world's `first_person`."""
        recording = {name: place for place, name in [*EXPRESSION_OF_RECORDING.items()][::-1]}  # the first of each
        views = [(*recording["neutral"], camera, FRONTAL_FLASH) for camera in self.cameras]
        views += [(*recording["neutral"], FRONTAL_CAMERA, flash) for flash in self.flashes]
        views += [(*recording[name], FRONTAL_CAMERA, FRONTAL_FLASH) for name in self.expressions]
        views = list(dict.fromkeys(views))
        return [Picture(subject, *view) for subject in range(1, self.subjects + 1) for view in views]


@dataclass(frozen=True)
class PortraitCapture(Settings):
    """FFHQ-like capture of the embedded world, one photograph per person."""

    first_person: int = setting(REQUIRED, "Number of the first person.", minimum=0)
    people: int = setting(REQUIRED, "Number of people.", minimum=2)
    nuisance_std: float = setting(1.0, "Standard deviation of the raw nuisance.", minimum=0, maximum=10)


@dataclass(frozen=True)
class PeopleCapture(Settings):
    """CASIA-like capture of the embedded world, several photographs per person, one folder per person."""

    first_person: int = setting(REQUIRED, "Number of the first person.", minimum=0)
    people: int = setting(REQUIRED, "Number of people.", minimum=2)
    photos: int = setting(REQUIRED, "Number of photographs per person.", minimum=1)
    nuisance_std: float = setting(1.0, "Standard deviation of the raw nuisance.", minimum=0, maximum=10)


@dataclass(frozen=True)
class BenchmarkCapture(Settings):
    """Verification benchmark of the embedded world; ten folds, each with people of its own."""

    kind: str = setting(
        REQUIRED, "Benchmark whose difficulty it imitates.", choices=("lfw", "cplfw", "calfw", "agedb_30", "cfp_fp")
    )
    first_person: int = setting(REQUIRED, "Number of the first person.", minimum=0)
    pairs: int = setting(600, "Number of pairs, half of them genuine.", minimum=20, multiple_of=20)
    people: int = setting(150, "Number of people.", minimum=20)
