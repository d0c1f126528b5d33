"""Five verification benchmarks of the embedded world, in the order and balance of their namesakes.

Each stands for a public benchmark by stressing what that one stresses, as far as this world has it:

- `lfw`      for LFW: everything varies mildly.
- `cplfw`    for CPLFW (cross-pose): mild, and the two photographs of every pair are turned to opposite sides.
- `calfw`    for CALFW (cross-age): mild, with a slight drift of the person's appearance between the two photographs.
- `agedb_30` for AgeDB-30 (30 years apart, in the wild): a strong drift, and nuisance that varies more.
- `cfp_fp`   for CFP-FP (frontal against profile): one photograph frontal, one as near to profile as the world can turn.

The world knows no age. Its stand-in is a random drift of those identity parameters that change over a life (hair,
beard, skin, fullness), with all bones kept. The impostor pairs of `calfw` and `agedb_30` are of one group, as in CALFW:
the other person is among those most like the first in complexion and build. Everywhere else impostors are drawn freely.

A benchmark has ten folds of different people, and in each fold first the genuine and then the impostor pairs. Every
photograph is used once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brownid.runtime.process import logger, progress
from brownid.runtime.randomness import stream, uniform
from brownid.samples import png
from brownid.verification.bins import write_bin
from brownid.world.anatomy import IDENTITY_NAMES, NUISANCE, NUISANCE_NAMES
from brownid.world.databases import BATCH, World
from brownid.world.people import photo_items
from brownid.world.settings import BenchmarkCapture, PeopleRange

FOLDS = 10
AGEING_NAMES = (
    *("wrinkles", "eye_bags", "cheeks", "skin_shine", "blush", "eye_shadow", "patch_forehead", "patch_left"),
    *("patch_right", "patch_nose", "patch_chin", "patch_temples", "brow_density", "hair_light", "hair_grey"),
    *("hairline", "hairline_peak", "parting", "fringe", "hair_top", "hair_sides", "hair_length", "streaks"),
    *("beard", "beard_height", "moustache", "sideburns"),
)
GROUP_NAMES = ("skin_tone", "skin_red", "skin_yellow", "jaw_width", "brow_ridge")
GROUP_SHARE = 0.25  # an impostor of the same group is among this nearest share of the fold's other people


@dataclass(frozen=True)
class Kind:
    """Difficulty of a benchmark: yaw ranges in degrees (None: as the nuisance falls), drift in raw units."""

    nuisance_std: float  # standard deviation of the raw nuisance
    first_yaw: tuple[float, float] | None = None
    second_yaw: tuple[float, float] | None = None
    drift: float = 0.0
    same_group: bool = False


KINDS: dict[str, Kind] = {
    "lfw": Kind(nuisance_std=0.7),
    "cplfw": Kind(nuisance_std=0.7, first_yaw=(-45, -20), second_yaw=(20, 45)),
    "calfw": Kind(nuisance_std=0.7, drift=0.4, same_group=True),
    "agedb_30": Kind(nuisance_std=0.9, drift=0.7, same_group=True),
    "cfp_fp": Kind(nuisance_std=0.7, first_yaw=(-5, 5), second_yaw=(42, 52)),
}


def capture_benchmark(world: World, path: str | Path, settings: BenchmarkCapture, *, seed: int) -> np.ndarray:
    """Render the pairs of a benchmark into the `.bin` file `path`; `seed` determines the pairs.

    Returns the numbers of the persons on the two images of each pair, int64 `[pairs, 2]`.
    """
    kind, purpose = KINDS[settings.kind], f"benchmark/{settings.kind}"
    raw = world.people(list(PeopleRange(settings.first_person, settings.people).items))  # [people, identity]
    pairs, same = _pairs(raw, settings, seed, purpose)
    shown = pairs.reshape(-1)  # who is on image i; images 2j and 2j+1 are pair j
    items = photo_items((settings.first_person + shown).tolist(), range(len(shown)))
    encoded: list[bytes] = []
    for start in progress(range(0, len(shown), BATCH), f"photograph {settings.kind}", "batch"):
        batch = np.arange(start, min(start + BATCH, len(shown)))
        batch_items = [items[i] for i in batch]
        identity = _aged(raw[shown[batch]], batch, batch_items, kind, seed, purpose)
        nuisance = _turned(
            world.nuisance(batch_items, kind.nuisance_std, purpose), batch, batch_items, kind, seed, purpose
        )
        images = np.asarray(world.photograph(identity, nuisance, batch_items))
        encoded += [png.encode(image) for image in images]
    write_bin(path, encoded, same)
    logger.info("%s: %d pairs of %d people in %s", settings.kind, settings.pairs, settings.people, path)
    return settings.first_person + pairs


def _pairs(raw: Tensor, settings: BenchmarkCapture, seed: int, purpose: str) -> tuple[np.ndarray, list[bool]]:
    """Persons on the two images of each pair, int `[pairs, 2]`, and whether they are the same."""
    group = raw[:, [IDENTITY_NAMES.index(name) for name in GROUP_NAMES]].double().numpy()
    half = settings.pairs // (2 * FOLDS)
    pairs, same = [], []
    for fold, people in enumerate(np.array_split(np.arange(settings.people), FOLDS)):
        draw = stream(seed, f"{purpose}/pairs", fold)
        turns = [person for _ in range(-(-half // len(people))) for person in draw.permutation(people)]
        pairs += [(person, person) for person in turns[:half]]
        for person in turns[:half]:
            others = people[people != person]
            if KINDS[settings.kind].same_group:
                distance = np.linalg.norm(group[others] - group[person], axis=1)
                others = others[np.argsort(distance, kind="stable")[: max(1, round(GROUP_SHARE * len(others)))]]
            pairs.append((person, draw.choice(others)))
        same += [True] * half + [False] * half
    return np.array(pairs), same


def _aged(raw: Tensor, images: np.ndarray, items: Sequence[int], kind: Kind, seed: int, purpose: str) -> Tensor:
    """Second photographs show the person later: the parameters that change over a life have drifted."""
    if not kind.drift:
        return raw
    columns = [IDENTITY_NAMES.index(name) for name in AGEING_NAMES]
    drift = torch.zeros_like(raw)
    steps = [stream(seed, f"{purpose}/ageing", item).standard_normal(len(columns)) for item in items]
    drift[:, columns] = kind.drift * raw.new_tensor(np.array(steps))
    return raw + drift * raw.new_tensor(images % 2)[:, None]


def _turned(nuisance: Tensor, images: np.ndarray, items: Sequence[int], kind: Kind, seed: int, purpose: str) -> Tensor:
    """First and second photographs turned by the kind's yaw ranges, the second at random to the left or right."""
    if kind.first_yaw is None or kind.second_yaw is None:
        return nuisance
    draws = uniform(seed, f"{purpose}/yaw", items, (1,))[:, 0].tolist()
    column = NUISANCE_NAMES.index("yaw")
    turned = nuisance.clone()
    for row, (image, share) in enumerate(zip(images.tolist(), draws, strict=True)):
        low, high = kind.second_yaw if image % 2 else kind.first_yaw
        mirrored = stream(seed, f"{purpose}/side", image // 2).random() < 0.5
        yaw = low + share * (high - low)
        turned[row, column] = NUISANCE["yaw"].raw(-yaw if mirrored else yaw)
    return turned
