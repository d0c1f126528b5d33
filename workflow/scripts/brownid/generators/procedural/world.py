"""The genuine world: people and pictures that the generator did not make, rendered by the same anatomy."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from brownid.errors import BrownidError
from brownid.generators.procedural.camera import Camera
from brownid.generators.procedural.generator import ProceduralGenerator
from brownid.generators.procedural.parameters import named_nuisance
from brownid.randomness import normal

_BATCH = 64


class GenuineWorld:
    """People and their pictures, each addressed by an item number: different items are different people.

    In contrast to the generator's latents, nuisance is independent of identity here, of any width, and pictures pass a
    camera.
    """

    def __init__(self, generator: ProceduralGenerator, seed: int) -> None:
        if not isinstance(generator, ProceduralGenerator):
            raise BrownidError(
                "The genuine world needs the procedural generator (family: procedural), "
                f"not {type(generator).__name__}."
            )
        self.generator, self.seed = generator, seed

    def people(self, items: Sequence[int]) -> Tensor:
        """Raw identities `[n, I]` of the people `items`: standard normal, as over the generator's latents."""
        return normal(self.seed, "genuine/people", items, (self.generator.identity_dim,))

    def nuisance(self, items: Sequence[int], spread: float, purpose: str) -> Tensor:
        """Raw nuisance `[n, N]` of the pictures `items`: normal with standard deviation `spread` (1.4 is wide)."""
        return spread * normal(self.seed, f"genuine/nuisance/{purpose}", items, (self.generator.nuisance_dim,))

    def nuisance_named(self, **amounts: float) -> Tensor:
        """Raw nuisance `[N]` of physical amounts (degrees; expressions 0 to 1), the rest neutral."""
        return named_nuisance(amounts)

    def photograph(
        self, identity: Tensor, nuisance: Tensor, items: Sequence[int], camera: Camera | None = None
    ) -> np.ndarray:
        """Pictures uint8 RGB `[n, H, W, 3]` of raw identities `[n, I]` and nuisances `[n, N]`.

        `items` address the camera's noise, blur and exposure.
        """
        if not len(identity) == len(nuisance) == len(items):
            raise BrownidError(
                f"Photographs need as many identities ({len(identity)}) as nuisances ({len(nuisance)}) "
                f"and items ({len(items)})."
            )
        camera, items, device = camera or Camera(), list(items), self.generator.device
        side = self.generator.resolution
        pictures = [np.empty((0, side, side, 3), np.uint8)]
        with torch.inference_mode():
            for start in range(0, len(items), _BATCH):
                part = slice(start, start + _BATCH)
                images = self.generator.render_parameters(identity[part].to(device), nuisance[part].to(device))
                pictures.append(camera.photograph(images, self.seed, items[part]))
        return np.concatenate(pictures)
