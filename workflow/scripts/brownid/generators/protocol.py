"""What the rest of the project needs of an image generator."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from brownid.randomness import NoiseKey

Point = tuple[float, float]


@runtime_checkable
class Generator(Protocol):
    """A map from latents to face images, differentiable as a rule; a GAN, or the procedural world.

    Pixel positions count pixel centres from 0: the centre of the first pixel is (0, 0).

    A generator whose noise maps depend on the item says so with `needs_noise_key = True`, and its `render` then takes a
    `brownid.randomness.NoiseKey` as second argument; one that torch.compile cannot take says `compiles = False`; one
    whose images carry no gradients says `differentiable = False`, and then serves for random faces only. One that knows
    five landmarks of an average face has them as `landmarks` (see `brownid.generators.average_face`).
    Generators that need a camera beside the latent (EG3D, whose labels `[B, 25]` the published collections carry) are
    planned: they are to take it as a keyword of `map` and `render`.
    """

    latent_dim: int
    latent_mean: Tensor  # [D], the mean of mapped latents
    resolution: int  # height and width of an image, pixels
    eyes: tuple[Point, Point]  # (x, y) of the eyes of an average frontal face, the image's left one first

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`, pulled to `latent_mean` by `truncation` (1: not at all)."""
        ...

    def render(self, latents: Tensor) -> Tensor:
        """Latents `[B, D]` to RGB images `[B, 3, H, W]` in [-1, 1], as a rule differentiable in the latents.

        Small excesses over [-1, 1] are allowed, since cutting them would stop the gradient; whoever stores pixels cuts.
        """
        ...


@runtime_checkable
class ConditionalGenerator(Protocol):
    """Face images straight from face embeddings, without latents: Arc2Face.

    It says `conditional = True`, which tells it from a `Generator`. Its images carry no gradients.
    """

    conditional: bool
    embedding_dim: int  # components E of the embeddings, of the FR network that it was trained with
    resolution: int  # height and width of an image, pixels
    eyes: tuple[Point, Point]  # (x, y) of the eyes of an average frontal face, the image's left one first
    device: torch.device  # where it computes

    def render_embeddings(self, embeddings: Tensor, noise_key: NoiseKey) -> Tensor:
        """Unit embeddings `[B, E]` to RGB images `[B, 3, H, W]` in [-1, 1]; `noise_key` decides their noise."""
        ...
