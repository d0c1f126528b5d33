"""Which noise maps a picture gets: none, those of the file, or maps drawn for the item that it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from brownid.errors import BrownidError

if TYPE_CHECKING:
    from brownid.randomness import NoiseKey

MODES = ("off", "fixed", "item", "random")
DRAWN = ("item", "random")  # the modes whose maps depend on the item


def check_mode(mode: str) -> str:
    """`mode`, if there is such a one."""
    if mode not in MODES:
        raise BrownidError(f"The noise of a StyleGAN2 generator is one of {', '.join(MODES)}, not {mode!r}.")
    return mode


def choose_maps(mode: str, stored: Mapping[str, Tensor], noise_key: NoiseKey | None, batch: int) -> dict[str, Tensor]:
    """The maps that `mode` gives a batch, each `[r, r]` or `[B, 1, r, r]`, by the names of the `stored` maps `[r, r]`.

    `item` draws maps that belong to an item and stay as they are; `random` draws others in every iteration.
    """
    if mode == "off":
        return {}
    if mode == "fixed":
        return dict(stored)
    if noise_key is None:
        raise BrownidError(
            f"The generator's noise is {mode!r}, so that its maps depend on the item: give a noise key "
            "(seed, items, iteration), or set the noise to 'off' or 'fixed'."
        )
    if len(noise_key.items) != batch:
        raise BrownidError(f"The noise key has {len(noise_key.items)} items for a batch of {batch} latents.")
    if mode == "item":
        noise_key = noise_key._replace(iteration=None)
    return {
        name: noise_key.normal(f"generator/noise/{name}", tuple(map_.shape)).unsqueeze(1).to(map_)
        for name, map_ in stored.items()
    }


def check_maps(given: Mapping[str, Tensor], stored: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
    """The `given` maps, `[r, r]` for the whole batch or `[B, r, r]`, as maps that broadcast to `[B, 1, r, r]`."""
    for name, map_ in given.items():
        if name not in stored:
            raise BrownidError(f"The generator has no noise map {name!r}: use some of {', '.join(stored)}.")
        side = tuple(stored[name].shape)
        if tuple(map_.shape) not in (side, (batch, *side)):
            raise BrownidError(
                f"The noise map {name!r} has the shape {list(map_.shape)}: it must be {list(side)} for all pictures, "
                f"or {[batch, *side]} for one each."
            )
    return {name: map_.unsqueeze(-3) for name, map_ in given.items()}
