"""The generator protocol, and the landmarks of an average face in the images of a generator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from brownid.alignment.templates import template
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import NoiseKey

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Point = tuple[float, float]


class GeneratorDefaults:
    """Default attributes of generators; every family derives from it and overrides what differs.

    `with_defaults` gives the same to the objects of users' own factories.
    """

    embedding_conditioned: bool = False  # an `EmbeddingConditionedGenerator`
    needs_noise_key: bool = False  # noise maps depend on the item: `render` takes a `NoiseKey` as second argument
    differentiable: bool = True  # images carry gradients; without, a generator serves for random faces only
    compiles: bool = True  # whether torch.compile can take `render`
    layers: int = 1  # latents per image in W+; 1: there is no W+
    largest_activation: int = 0  # numbers per image in the largest tensor of `render`, which limits a batch; 0: unknown
    landmarks: tuple[Point, ...]  # (x, y) of an average frontal face in pixels: five, or the two eyes alone

    @property
    def eyes(self) -> tuple[Point, ...]:
        """(x, y) of the eyes of an average frontal face, the one on the left of the image first."""
        return self.landmarks[:2]

    def noise_maps(self) -> dict[str, Tensor]:
        """A copy of the noise maps `[r, r]` by name, which `render` takes as its keyword `noise`; none by default."""
        return {}


@runtime_checkable
class Generator(Protocol):
    """A map from latents to face images, as a rule differentiable: a GAN, or the procedural world.

    Pixel positions count pixel centres from 0: the centre of the first pixel is (0, 0). Optional members are those of
    `GeneratorDefaults`. Generators that need a camera next to the latent (EG3D, whose labels `[B, 25]` the published
    collections carry) are planned: they are to take it as a keyword of `map` and `render`.
    """

    @property
    def latent_dim(self) -> int:
        """Components D of a latent."""
        ...

    @property
    def latent_mean(self) -> Tensor:
        """The mean `[D]` of mapped latents."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width of an image, pixels."""
        ...

    @property
    def eyes(self) -> tuple[Point, ...]:
        """(x, y) of the eyes of an average frontal face, the one on the left of the image first."""
        ...

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`, pulled to `latent_mean` by `truncation` (1: not at all)."""
        ...

    def render(self, latents: Tensor) -> Tensor:
        """Latents `[B, D]` to RGB images `[B, 3, H, W]` in [-1, 1], as a rule differentiable in the latents.

        Small excesses over [-1, 1] are allowed, since clipping would stop the gradient; code that stores pixels clips
        them.
        """
        ...


@runtime_checkable
class EmbeddingConditionedGenerator(Protocol):
    """Face images straight from face embeddings, without latents and gradients: Arc2Face.

    Its attribute `embedding_conditioned = True` tells it from a `Generator`.
    """

    embedding_conditioned: bool
    resolution: int  # height and width of an image, pixels

    @property
    def embedding_dim(self) -> int:
        """Components E of the embeddings, of the FR network that it was trained with."""
        ...

    @property
    def eyes(self) -> tuple[Point, ...]:
        """(x, y) of the eyes of an average frontal face, the one on the left of the image first."""
        ...

    @property
    def device(self) -> torch.device:
        """The device of the generator."""
        ...

    def render_embeddings(self, embeddings: Tensor, noise_key: NoiseKey) -> Tensor:
        """Unit embeddings `[B, E]` to RGB images `[B, 3, H, W]` in [-1, 1]; `noise_key` decides their noise."""
        ...


def with_defaults(generator: Any) -> Any:
    """The generator, with the optional members that it lacks as `GeneratorDefaults` has them."""
    for name in (
        "embedding_conditioned",
        "needs_noise_key",
        "differentiable",
        "compiles",
        "layers",
        "largest_activation",
    ):
        if not hasattr(generator, name):
            setattr(generator, name, getattr(GeneratorDefaults, name))
    if not hasattr(generator, "noise_maps"):
        generator.noise_maps = dict
    if not hasattr(generator, "landmarks") and hasattr(generator, "eyes"):
        generator.landmarks = generator.eyes
    return generator


def is_embedding_conditioned(
    generator: Generator | EmbeddingConditionedGenerator,
) -> "TypeIs[EmbeddingConditionedGenerator]":
    """Whether a generator renders embeddings, not latents."""
    return getattr(generator, "embedding_conditioned", False)


def device_of(generator: Generator | EmbeddingConditionedGenerator) -> torch.device:
    """Device of a generator."""
    return generator.device if is_embedding_conditioned(generator) else generator.latent_mean.device


NAMES = {"eyes": "that of the eye", "landmarks": "eyes, tip of the nose and corners of the mouth, those"}
COUNTS = {"eyes": 2, "landmarks": 5}


@dataclass(frozen=True)
class AverageFace:
    """The landmarks of an average frontal face, (x, y) in pixels, those on the left of the image first.

    Those of the named template (see `brownid.alignment.templates`), unless two `eyes` or five `landmarks`, in the order
    of `ARCFACE_112`, are given in the generator's own pixels.
    """

    template: str = "ffhq"
    eyes: Sequence[Sequence[float]] | None = None
    landmarks: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        template(self.template, 1)  # refuses an unknown name
        if self.eyes is not None and self.landmarks is not None:
            raise BrownidError("A generator has `eyes` or `landmarks`, which begin with the eyes, not both: drop one.")
        for name, count in COUNTS.items():
            points = getattr(self, name)
            if points is not None and not _are_points(points, count):
                raise BrownidError(
                    f"{name} are {points}: give {('two', 'five')[count == 5]} points [x, y] in pixels, {NAMES[name]} "
                    "on the left of the image first."
                )

    def points(self, image_size: int) -> tuple[Point, ...]:
        """The landmarks in images of `image_size` pixels: five where all are known, else the two eyes."""
        given = self.landmarks if self.eyes is None else self.eyes
        known = template(self.template, image_size) if given is None else given
        return tuple((float(x), float(y)) for x, y in known)


def _are_points(points: Sequence[Sequence[float]], count: int) -> bool:
    """Whether these are `count` points, finite, and left before right."""
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    pairs = [(0, 1), (3, 4)][: count // 2]
    return (
        array.shape == (count, 2)
        and bool(np.isfinite(array).all())
        and all(array[left, 0] < array[right, 0] for left, right in pairs)
    )
