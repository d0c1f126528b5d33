"""The embedded face world as genuine databases: files on disk, named and laid out as the real ones.

Every photograph is the world's own: nuisance independent of the identity, and a camera with noise, blur and exposure.
The images are already in the frame of the face-recognition template, so aligning them is a resize at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from brownid.databases.multipie import (
    CAMERA_YAW,
    EXPRESSION_OF_RECORDING,
    FLASH_YAW,
    FRONTAL_CAMERA,
    FRONTAL_FLASH,
    NO_FLASH,
    Picture,
)
from brownid.databases.people import PeopleRange, photo_items
from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.generators.procedural.parameters import NUISANCE
from brownid.runtime import logger, progress
from brownid.samples import png

BATCH = 64
PORTRAITS_PER_FOLDER = 1000
EXPRESSION_AMOUNT = 1.0
LIGHT_SCALE = 0.9 * NUISANCE["light_yaw"].range[1] / 90  # the rig's lamps reach 90 degrees, the world's a little less
SIDE_STRENGTH = 1.4  # a flash from the side must show beside the room light
NO_FLASH_STRENGTH = 0.35  # room light only


class World(Protocol):
    """What a capture needs of `brownid.generators.procedural.world.GenuineWorld`."""

    def people(self, items: Sequence[int]) -> Tensor:
        """Raw identity parameters `[n, I]` of the persons."""

    def nuisance(self, items: Sequence[int], spread: float, purpose: str) -> Tensor:
        """Raw nuisance `[n, N]`, independent of the identity."""

    def nuisance_named(self, **values: float) -> Tensor:
        """Raw nuisance `[N]` of physical amounts; what is not named is neutral."""

    def photograph(self, identity: Tensor, nuisance: Tensor, items: Sequence[int]) -> np.ndarray:
        """Photographs uint8 RGB `[n, H, W, 3]`."""


@dataclass(frozen=True)
class MultipieCapture:
    """Which MultiPIE pictures are taken: of each subject every camera, every flash and every expression once.

    P_center_lit sees all `cameras` (neutral, frontal flash), U all `flashes` (neutral, frontal camera), E_lit one
    recording of each of `expressions` (frontal camera and flash). The default makes 18 pictures a subject.
    """

    first_person: int
    subjects: int = 20
    cameras: tuple[str, ...] = ("08_0", "13_0", "14_0", "05_1", "05_0", "04_1", "19_0")
    flashes: tuple[int, ...] = (1, 2, 3, 7, 11, 12, 13)
    expressions: tuple[str, ...] = ("neutral", "smile", "surprise", "squint", "disgust", "scream")
    spread: float = 0.15  # standard deviation of all raw nuisance around what is asked for: nobody sits quite still

    def __post_init__(self):
        PeopleRange(self.first_person, self.subjects)
        if self.subjects > 999:
            raise BrownidError(f"`subjects` is {self.subjects}; MultiPIE's naming has room for 999.")
        low, high = NUISANCE["yaw"].range
        possible = [camera for camera, yaw in CAMERA_YAW.items() if low < yaw < high]
        _check_list("cameras", self.cameras, possible, FRONTAL_CAMERA)
        _check_list("flashes", self.flashes, [NO_FLASH, *FLASH_YAW], FRONTAL_FLASH)
        _check_list("expressions", self.expressions, list(dict.fromkeys(EXPRESSION_OF_RECORDING.values())), "neutral")
        _check_spread(self.spread)

    def pictures(self) -> list[Picture]:
        """The pictures of all subjects, each once, subject by subject; subject 1 is the world's `first_person`."""
        recording = {name: place for place, name in reversed(EXPRESSION_OF_RECORDING.items())}  # the first of each
        views = [(*recording["neutral"], camera, FRONTAL_FLASH) for camera in self.cameras]
        views += [(*recording["neutral"], FRONTAL_CAMERA, flash) for flash in self.flashes]
        views += [(*recording[name], FRONTAL_CAMERA, FRONTAL_FLASH) for name in self.expressions]
        views = list(dict.fromkeys(views))
        return [Picture(subject, *view) for subject in range(1, self.subjects + 1) for view in views]


@dataclass(frozen=True)
class PortraitCapture:
    """An FFHQ-like set: one photograph of each person."""

    first_person: int
    people: int
    spread: float = 0.7  # standard deviation of the raw nuisance

    def __post_init__(self):
        PeopleRange(self.first_person, self.people)
        _check_spread(self.spread)


@dataclass(frozen=True)
class PeopleCapture:
    """A CASIA-like set: `photos` photographs of each person, one folder a person."""

    first_person: int
    people: int
    photos: int
    spread: float = 1.4

    def __post_init__(self):
        PeopleRange(self.first_person, self.people)
        if self.photos < 1:
            raise BrownidError(f"`photos` is {self.photos}; at least one photo a person is needed.")
        _check_spread(self.spread)


def capture_multipie(world: World, root: str | Path, settings: MultipieCapture) -> int:
    """Photograph the subjects of `settings` into a MultiPIE tree below `root`; returns the number of pictures."""
    pictures = settings.pictures()
    per_subject = len(pictures) // settings.subjects
    asked = torch.stack([world.nuisance_named(**_amounts(picture)) for picture in pictures[:per_subject]])
    people = [settings.first_person + picture.subject - 1 for picture in pictures]
    items = photo_items(people, [number % per_subject for number in range(len(pictures))])

    def shots() -> Iterator[tuple[str, np.ndarray]]:
        for batch in _batches(len(pictures)):
            jitter = world.nuisance([items[i] for i in batch], settings.spread, "multipie")
            nuisance = jitter + asked[[i % per_subject for i in batch]]
            images = world.photograph(world.people([people[i] for i in batch]), nuisance, [items[i] for i in batch])
            yield from zip((pictures[i].path for i in batch), np.asarray(images), strict=True)

    return _write_images(root, shots(), len(pictures), "photograph MultiPIE-like subjects")


def capture_portraits(world: World, root: str | Path, settings: PortraitCapture) -> int:
    """Photograph every person once, into `root/<thousand>/<number>.png` as FFHQ has it; returns their number."""
    names = [
        f"{number // PORTRAITS_PER_FOLDER * PORTRAITS_PER_FOLDER:05}/{number:05}.png"
        for number in range(settings.people)
    ]
    people = list(PeopleRange(settings.first_person, settings.people).items)
    shots = _free_shots(world, names, people, [0] * len(people), settings.spread, "portraits")
    return _write_images(root, shots, len(names), "photograph portraits")


def capture_people(world: World, root: str | Path, settings: PeopleCapture) -> int:
    """Photograph every person `photos` times, into `root/<person:05>/<photo:03>.png`; returns the number of images."""
    people = [p for p in PeopleRange(settings.first_person, settings.people).items for _ in range(settings.photos)]
    photos = list(range(settings.photos)) * settings.people
    names = [f"{person:05}/{photo:03}.png" for person in range(settings.people) for photo in range(settings.photos)]
    shots = _free_shots(world, names, people, photos, settings.spread, "people")
    return _write_images(root, shots, len(names), "photograph people")


def _free_shots(
    world: World, names: list[str], people: list[int], photos: list[int], spread: float, purpose: str
) -> Iterator[tuple[str, np.ndarray]]:
    items = photo_items(people, photos)
    for batch in _batches(len(names)):
        batch_items = [items[i] for i in batch]
        nuisance = world.nuisance(batch_items, spread, purpose)
        images = world.photograph(world.people([people[i] for i in batch]), nuisance, batch_items)
        yield from zip((names[i] for i in batch), np.asarray(images), strict=True)


def _amounts(picture: Picture) -> Mapping[str, float]:
    """The physical nuisance of a picture: where the head turns, where the light stands, what the face does."""
    amounts: dict[str, float] = {"yaw": CAMERA_YAW[picture.camera]}
    if picture.flash == NO_FLASH:
        amounts["light_strength"] = NO_FLASH_STRENGTH
    else:
        light_yaw = LIGHT_SCALE * FLASH_YAW[picture.flash]
        amounts |= {"light_yaw": light_yaw, "light_strength": SIDE_STRENGTH if light_yaw else 1.0}
    if picture.expression not in (None, "neutral"):
        amounts[picture.expression] = EXPRESSION_AMOUNT
    return amounts


def _batches(count: int) -> Iterator[range]:
    for start in range(0, count, BATCH):
        yield range(start, min(start + BATCH, count))


def _write_images(root: str | Path, shots: Iterator[tuple[str, np.ndarray]], total: int, description: str) -> int:
    """Write the whole tree, or nothing: a capture that was interrupted must not look like a small database."""
    with atomic_path(root) as folder:
        for name, image in progress(shots, description, "image", total):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png.encode(image))
    logger.info("%s: %d images below %s", description, total, root)
    return total


def _check_list(setting: str, values: Sequence, possible: Sequence, needed: object) -> None:
    unknown = [value for value in values if value not in possible]
    if unknown:
        raise BrownidError(
            f"`{setting}` has {unknown[0]!r}, which the embedded world cannot take; possible are "
            f"{', '.join(map(str, possible))}."
        )
    if needed not in values:
        raise BrownidError(f"`{setting}` lacks {needed!r}, with which the others are compared; add it.")


def _check_spread(spread: float) -> None:
    if not 0 <= spread <= 10:
        raise BrownidError(f"`spread` is {spread}; give the standard deviation of the raw nuisance, between 0 and 10.")
