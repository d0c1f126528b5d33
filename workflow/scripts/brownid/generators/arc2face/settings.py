"""How Arc2Face renders an embedding, and how large one with random weights is."""

import math
from dataclasses import dataclass, fields

from brownid.errors import BrownidError
from brownid.generators.ldm.sampling import check_scheduler


@dataclass(frozen=True)
class Arc2FaceSettings:
    """The published sampling is the default."""

    steps: int = 25  # of the scheduler, from noise to image
    guidance_scale: float = 3.0  # how far beyond the unconditional prediction; 1: no guidance, half the time
    scheduler: str = "dpmsolver++"  # one of `brownid.generators.ldm.sampling.SCHEDULERS`
    side: int | None = None  # pixels of an image; None: those that the weights were trained at
    embedding_dim: int = 512  # components of the embeddings that the weights were trained with

    def __post_init__(self) -> None:
        check_scheduler(self.scheduler)
        _check_whole("steps", self.steps, 1)
        _check_whole("embedding_dim", self.embedding_dim, 1)
        if self.side is not None:
            _check_whole("side", self.side, 1)
        scale = self.guidance_scale
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not (math.isfinite(scale) and scale >= 1):
            raise BrownidError(f"guidance_scale is {scale!r}, but must be a number from 1 (no guidance) on.")


@dataclass(frozen=True)
class RandomSizes:
    """Sizes of an Arc2Face with random weights, for tests and benchmarks."""

    side: int = 32  # pixels that it is made for, a multiple of 4
    channels: int = 8  # of the first layer of the denoising network and the decoder, a multiple of 4
    width: int | None = None  # of the text encoder; None: the components of an embedding
    layers: int = 1  # of the text encoder

    def __post_init__(self) -> None:
        _check_whole("random.layers", self.layers, 1)
        if self.width is not None:
            _check_whole("random.width", self.width, 1)
        for name in ("side", "channels"):
            _check_whole(f"random.{name}", getattr(self, name), 4)
            if getattr(self, name) % 4:
                raise BrownidError(f"random.{name} is {getattr(self, name)}, but must be a multiple of 4.")

    @classmethod
    def checked(cls, sizes: dict) -> "RandomSizes":
        """The sizes in a section of the configuration; a `BrownidError` names one that is unknown."""
        known = [field.name for field in fields(cls)]
        unknown = [name for name in sizes if name not in known]
        if unknown:
            raise BrownidError(f"A random Arc2Face has no size {unknown[0]!r}: known are {', '.join(known)}.")
        return cls(**sizes)


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BrownidError(f"{name} is {value!r}, but must be a whole number from {least} on.")
