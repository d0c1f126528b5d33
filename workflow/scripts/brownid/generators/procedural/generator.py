"""The procedural world behind the generator protocol, with its ground truth."""

import torch
from torch import Tensor

from brownid.errors import BrownidError
from brownid.generators.procedural.latent_space import LatentSpace
from brownid.generators.procedural.parameters import (
    IDENTITY_NAMES,
    NUISANCE,
    NUISANCE_NAMES,
    identity_settings,
    nuisance_settings,
)
from brownid.generators.procedural.renderer import Renderer
from brownid.generators.protocol import GeneratorDefaults, Point

# Attributes that the covariates name, and the nuisance parameters they are. Positive pose turns the subject to the
# image's right, positive illumination puts the lamp on the image's right.
ATTRIBUTES: tuple[str, ...] = ("pose", "illumination", "smile", "scream", "disgust", "squint", "surprise")
_PARAMETER_OF = {"pose": "yaw", "illumination": "light_yaw"}

EYES_112: tuple[Point, Point] = ((38.2946, 51.6), (73.5318, 51.6))  # of the average face at side 112
_CHUNK_PIXELS = 16 * 56 * 56  # rendered at a time on a CPU: small enough for the cache, large enough to fill it


class ProceduralGenerator(GeneratorDefaults):
    """A differentiable face generator without weights: everything follows from `world_seed`.

    `side` is the image's height and width in pixels; the world (latents, parameters, faces) does not depend on it.
    """

    def __init__(
        self, latent_dim: int = 512, side: int = 56, world_seed: int = 1, device: str | torch.device = "cpu"
    ) -> None:
        _check_whole("latent_dim", latent_dim, len(IDENTITY_NAMES) + len(NUISANCE_NAMES))
        _check_whole("side", side, 16)
        _check_whole("world_seed", world_seed, 0)
        self.latent_dim, self.resolution, self.world_seed = latent_dim, side, world_seed
        # pixel edges keep their place from side to side, pixel centres do not
        self.landmarks = tuple(((x + 0.5) * side / 112 - 0.5, (y + 0.5) * side / 112 - 0.5) for x, y in EYES_112)
        self.identity_dim, self.nuisance_dim = len(IDENTITY_NAMES), len(NUISANCE_NAMES)
        stds = torch.tensor([amount.generator_std for amount in NUISANCE.values()])
        self.device = torch.device(device)
        self._space = LatentSpace(latent_dim, self.identity_dim, stds, world_seed).to(self.device)
        self._renderer = Renderer(side).to(self.device)

    @property
    def latent_mean(self) -> Tensor:
        """The mean `[D]` of mapped latents."""
        return self._space.mean

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> "ProceduralGenerator":
        """Move to a device or a floating-point type, in place."""
        self._space.to(device=device, dtype=dtype)
        self._renderer.to(device=device, dtype=dtype)
        self.device = self._space.mean.device
        return self

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`."""
        return self._space.map(z, truncation)

    def render(self, latents: Tensor) -> Tensor:
        """RGB images `[B, 3, H, W]` in (-1, 1) of latents `[B, D]`, differentiable."""
        raw = self._space.parameters_of(latents)
        return self.render_parameters(raw[:, : self.identity_dim], raw[:, self.identity_dim :])

    def render_parameters(self, identity: Tensor, nuisance: Tensor) -> Tensor:
        """RGB images `[B, 3, H, W]` in (-1, 1) of raw parameters `[B, I]` and `[B, N]`."""
        settings = torch.cat([identity_settings(identity), nuisance_settings(nuisance)], dim=1)
        chunk = max(1, _CHUNK_PIXELS // self.resolution**2) if self.device.type == "cpu" else max(1, len(settings))
        return torch.cat([self._renderer(part) for part in settings.split(chunk)])

    def identity_of(self, latents: Tensor) -> Tensor:
        """The true raw identity `[B, I]`."""
        return self._space.parameters_of(latents)[:, : self.identity_dim]

    def nuisance_of(self, latents: Tensor) -> Tensor:
        """The true raw nuisance `[B, N]`."""
        return self._space.parameters_of(latents)[:, self.identity_dim :]

    def latents_from(self, identity: Tensor, nuisance: Tensor) -> Tensor:
        """The latents `[B, D]` nearest to the mean with these raw parameters."""
        return self._space.latents_of(torch.cat([identity, nuisance], dim=1))

    def reset_nuisance(self, latents: Tensor) -> Tensor:
        """The latents with every nuisance neutral (raw 0) and everything else kept."""
        nuisance = self.nuisance_of(latents)
        change = self._space.latents_of(torch.cat([torch.zeros_like(self.identity_of(latents)), nuisance], dim=1))
        return latents - (change - self.latent_mean)

    def attribute_direction(self, name: str) -> Tensor:
        """The unit direction `[D]` along which the attribute's raw parameter alone changes, and grows."""
        if name not in ATTRIBUTES:
            raise BrownidError(f"The attribute {name!r} is unknown: use one of {', '.join(ATTRIBUTES)}.")
        return self._space.rows[self.identity_dim + NUISANCE_NAMES.index(_PARAMETER_OF.get(name, name))].clone()


def _check_whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BrownidError(
            f"The procedural generator's {name} is {value!r}: it must be a whole number of at least {least}."
        )
