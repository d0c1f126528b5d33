"""The persons of the embedded world, which databases they appear in, and the camera that photographs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brownid.runtime.errors import BrownidError
from brownid.runtime.factories import check_keywords
from brownid.runtime.process import default_device
from brownid.runtime.randomness import normal, stream, uniform
from brownid.world.anatomy import named_nuisance
from brownid.world.generator import ProceduralGenerator

PHOTOS_PER_PERSON = 1 << 20


def photo_items(people: Sequence[int], photos: Sequence[int]) -> list[int]:
    """The item number of photo `photos[i]` of person `people[i]`: no two photos of a world share one."""
    for photo in photos:
        if not 0 <= photo < PHOTOS_PER_PERSON:
            raise BrownidError(
                f"Photo {photo} of a person: at most {PHOTOS_PER_PERSON} photos per person are possible."
            )
    return [person * PHOTOS_PER_PERSON + photo for person, photo in zip(people, photos, strict=True)]


@dataclass(frozen=True)
class Camera:
    """Differences between a photograph and a render; with all zero it is an 8-bit copy."""

    noise: float = 0.02  # largest standard deviation of the sensor noise, of the full range
    blur: float = 0.9  # largest standard deviation of the blur, in pixels of a 112 image
    exposure: float = 0.12  # standard deviation of the brightness, as a share

    def __post_init__(self) -> None:
        for name in ("noise", "blur", "exposure"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and np.isfinite(value) and value >= 0):
                raise BrownidError(f"The camera's {name} is {value!r}: it must be a finite number of at least 0.")

    def photograph(self, images: Tensor, seed: int, items: list[int]) -> np.ndarray:
        """Images `[n, 3, H, W]` in [-1, 1] to photographs uint8 `[n, H, W, 3]`; row i belongs to items[i] alone."""
        images = 0.5 * (images.detach().cpu().float() + 1.0)
        image_size = images.shape[-1]
        share = uniform(seed, "camera/shares", items, (2,))
        if self.blur:
            images = _blur(images, self.blur * share[:, 0] * image_size / 112)
        if self.exposure:
            gain = torch.exp(self.exposure * normal(seed, "camera/exposure", items, (1,)))
            images = 1.0 - (1.0 - images).clamp_min(0.0) ** gain[:, :, None, None]
        if self.noise and items:
            grain = [stream(seed, "camera/noise", item).standard_normal(images.shape[1:], np.float32) for item in items]
            images = images + (self.noise * share[:, 1])[:, None, None, None] * torch.from_numpy(np.stack(grain))
        levels = (images * 255.0).round().clamp(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().numpy()


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """A Gaussian blur of `sigma` pixels `[n]` an image, as two matrix products."""
    place = torch.arange(images.shape[-1], dtype=torch.float32)
    distance = (place[:, None] - place[None]) ** 2
    kernel = torch.exp(-distance / (2.0 * sigma[:, None, None].clamp_min(1e-2) ** 2))
    kernel = (kernel / kernel.sum(2, keepdim=True))[:, None]
    return kernel @ images @ kernel.transpose(2, 3)


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

    def nuisance(self, items: Sequence[int], nuisance_std: float, purpose: str) -> Tensor:
        """Raw nuisance `[n, N]` of the images `items`: normal with standard deviation `nuisance_std` (1.4 is wide)."""
        return nuisance_std * normal(self.seed, f"genuine/nuisance/{purpose}", items, (self.generator.nuisance_dim,))

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
        image_size = self.generator.resolution
        pictures = [np.empty((0, image_size, image_size, 3), np.uint8)]
        with torch.inference_mode():
            for start in range(0, len(items), _BATCH):
                part = slice(start, start + _BATCH)
                images = self.generator.render_parameters(identity[part].to(device), nuisance[part].to(device))
                pictures.append(camera.photograph(images, self.seed, items[part]))
        return np.concatenate(pictures)


def embedded_world(settings: Mapping[str, Any]) -> GenuineWorld:
    """The people and the camera of the embedded world that `settings["generator"]` describes."""
    spec = {key: value for key, value in settings["generator"].items() if key != "family"}
    check_keywords(ProceduralGenerator, "The embedded world", spec)
    return GenuineWorld(ProceduralGenerator(**spec, device=default_device()), settings["seed"])


def capture_arguments(capture: Mapping[str, Any]) -> dict[str, Any]:
    """A `capture` section without the name of its world; lists as the settings classes want them."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in capture.items() if key != "generator"
    }
