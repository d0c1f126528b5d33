"""What the rest of the project needs of an image generator."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from brownid.randomness import NoiseKey

Point = tuple[float, float]


class GeneratorDefaults:
    """What a generator is unless it says otherwise; every family derives from it and overrides what differs.

    `with_defaults` gives the same to the objects of users' own factories.
    """

    embedding_conditioned: bool = False  # an `EmbeddingConditionedGenerator`
    needs_noise_key: bool = False  # noise maps depend on the item: `render` takes a `NoiseKey` as second argument
    differentiable: bool = True  # images carry gradients; without, a generator serves for random faces only
    compiles: bool = True  # whether torch.compile can take `render`
    layers: int = 1  # latents per image in W+; 1: there is no W+
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

    latent_dim: int
    latent_mean: Tensor  # [D], the mean of mapped latents
    resolution: int  # height and width of an image, pixels
    eyes: tuple[Point, ...]  # (x, y) of the eyes of an average frontal face, the image's left one first

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`, pulled to `latent_mean` by `truncation` (1: not at all)."""
        ...

    def render(self, latents: Tensor) -> Tensor:
        """Latents `[B, D]` to RGB images `[B, 3, H, W]` in [-1, 1], as a rule differentiable in the latents.

        Small excesses over [-1, 1] are allowed, since cutting them would stop the gradient; whoever stores pixels cuts.
        """
        ...


@runtime_checkable
class EmbeddingConditionedGenerator(Protocol):
    """Face images straight from face embeddings, without latents and gradients: Arc2Face.

    Its attribute `embedding_conditioned = True` tells it from a `Generator`.
    """

    embedding_conditioned: bool
    embedding_dim: int  # components E of the embeddings, of the FR network that it was trained with
    resolution: int  # height and width of an image, pixels
    eyes: tuple[Point, ...]  # (x, y) of the eyes of an average frontal face, the image's left one first
    device: torch.device  # where it computes

    def render_embeddings(self, embeddings: Tensor, noise_key: NoiseKey) -> Tensor:
        """Unit embeddings `[B, E]` to RGB images `[B, 3, H, W]` in [-1, 1]; `noise_key` decides their noise."""
        ...


def with_defaults(generator: Any) -> Any:
    """The generator, with the optional members that it lacks as `GeneratorDefaults` has them."""
    for name in ("embedding_conditioned", "needs_noise_key", "differentiable", "compiles", "layers"):
        if not hasattr(generator, name):
            setattr(generator, name, getattr(GeneratorDefaults, name))
    if not hasattr(generator, "noise_maps"):
        generator.noise_maps = dict
    if not hasattr(generator, "landmarks") and hasattr(generator, "eyes"):
        generator.landmarks = generator.eyes
    return generator


def device_of(generator: Generator | EmbeddingConditionedGenerator) -> torch.device:
    """Where a generator computes."""
    return generator.device if generator.embedding_conditioned else generator.latent_mean.device
