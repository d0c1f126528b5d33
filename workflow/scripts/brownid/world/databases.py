"""The embedded face world as genuine databases: files on disk, named and laid out as the real ones.

Every photograph is the world's own: nuisance independent of the identity, and a camera with noise, blur and exposure.
The images are already in the frame of the face-recognition template, so aligning them is a resize at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from brownid.databases.multipie import CAMERA_YAW, FLASH_YAW, NO_FLASH, Picture
from brownid.runtime.files import atomic_path
from brownid.runtime.process import logger, progress
from brownid.samples import png
from brownid.world.anatomy import NUISANCE
from brownid.world.people import photo_items
from brownid.world.settings import MultipieCapture, PeopleCapture, PeopleRange, PortraitCapture

BATCH = 64
PORTRAITS_PER_FOLDER = 1000
EXPRESSION_AMOUNT = 1.0
LIGHT_SCALE = 0.9 * NUISANCE["light_yaw"].range[1] / 90  # the rig's lamps reach 90 degrees, the world's a little less
SIDE_STRENGTH = 1.4  # a flash from the side must be visible in addition to the room light
NO_FLASH_STRENGTH = 0.35  # room light only


class World(Protocol):
    """Protocol of a capture for `brownid.world.people.GenuineWorld`."""

    def people(self, items: Sequence[int]) -> Tensor:
        """Raw identity parameters `[n, I]` of the persons."""

    def nuisance(self, items: Sequence[int], nuisance_std: float, purpose: str) -> Tensor:
        """Raw nuisance `[n, N]`, independent of the identity."""

    def nuisance_named(self, **values: float) -> Tensor:
        """Raw nuisance `[N]` of physical amounts; what is not named is neutral."""

    def photograph(self, identity: Tensor, nuisance: Tensor, items: Sequence[int]) -> np.ndarray:
        """Photographs uint8 RGB `[n, H, W, 3]`."""


def capture_multipie(world: World, root: str | Path, settings: MultipieCapture) -> int:
    """Photograph the subjects of `settings` into a MultiPIE tree below `root`; returns the number of pictures."""
    pictures = settings.pictures()
    per_subject = len(pictures) // settings.subjects
    asked = torch.stack([world.nuisance_named(**_amounts(picture)) for picture in pictures[:per_subject]])
    people = [settings.first_person + picture.subject - 1 for picture in pictures]
    items = photo_items(people, [number % per_subject for number in range(len(pictures))])

    def shots() -> Iterator[tuple[str, np.ndarray]]:
        for batch in _batches(len(pictures)):
            jitter = world.nuisance([items[i] for i in batch], settings.nuisance_std, "multipie")
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
    shots = _free_shots(world, names, people, [0] * len(people), settings.nuisance_std, "portraits")
    return _write_images(root, shots, len(names), "photograph portraits")


def capture_people(world: World, root: str | Path, settings: PeopleCapture) -> int:
    """Photograph every person `photos` times, into `root/<person:05>/<photo:03>.png`; returns the number of images."""
    people = [p for p in PeopleRange(settings.first_person, settings.people).items for _ in range(settings.photos)]
    photos = list(range(settings.photos)) * settings.people
    names = [f"{person:05}/{photo:03}.png" for person in range(settings.people) for photo in range(settings.photos)]
    shots = _free_shots(world, names, people, photos, settings.nuisance_std, "people")
    return _write_images(root, shots, len(names), "photograph people")


def _free_shots(
    world: World, names: list[str], people: list[int], photos: list[int], nuisance_std: float, purpose: str
) -> Iterator[tuple[str, np.ndarray]]:
    items = photo_items(people, photos)
    for batch in _batches(len(names)):
        batch_items = [items[i] for i in batch]
        nuisance = world.nuisance(batch_items, nuisance_std, purpose)
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
