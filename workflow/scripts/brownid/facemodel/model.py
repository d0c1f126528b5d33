"""The face model E = F(A(G(w))): generator, alignment crop and recognition network as one differentiable function."""

import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.generators.protocol import Generator, with_defaults
from brownid.recognition.backbones import FaceNetwork
from brownid.recognition.embedding import as_network_input, largest_activation, raw_embeddings
from brownid.recognition.folding import folded
from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.fusing import compile_chains
from brownid.runtime.precision import autocast, resolve_precision
from brownid.runtime.randomness import NoiseKey

BACKEND = "inductor"  # of torch.compile
ADVICE = "set compile: false in the configuration of the network"


class FaceModel(Protocol):
    """Face model protocol of the algorithms; any object with these members works.

    A model with random noise maps has `needs_noise_key = True`, and its `render` and `embed` take their `NoiseKey` as
    second argument.
    """

    @property
    def latent_mean(self) -> Tensor:
        """The generator's mean latent `[D]`."""
        ...

    def render(self, latents: Tensor) -> Tensor:
        """Images `[B, 3, S, S]` in [-1, 1] of latents `[B, D]`, differentiable in the latents."""
        ...

    def embed(self, latents: Tensor) -> Tensor:
        """Embeddings `[B, E]` of latents `[B, D]`, differentiable in the latents, each row by itself."""
        ...


def needs_noise_key(model: FaceModel | Generator) -> bool:
    """Whether `render` (and `embed`) take a noise key; models and generators of users' own need not say that not."""
    return getattr(model, "needs_noise_key", False)


class GeneratorFaceModel:
    """Generator, alignment crop and recognition network as one map from latents `[B, D]` to the unit sphere.

    It changes the two networks it is given: their parameters no longer take gradients (a third of the work of a force)
    and they are put in evaluation mode. `precision` ("float32", "bfloat16", "auto") is that of the recognition network;
    a generator has its own.

    `frame` says what `render` shows: "network" the aligned crops that the recognition network reads, "generator" the
    generator's whole images. Projection compares these with targets, which in the frame "generator" must be aligned as
    the generator's training images are (FFHQ); hair, ears and background are then compared too.

    Embeddings are those of `steering`: the network with its batch-norms folded into the convolutions, where it is an
    iResNet or AdaFace's, which changes rounding only; `network` stays as it was given.

    Two options are for speed and change results by rounding only: `channels_last`, the recognition network's layout in
    memory, and `compile`. "auto" compiles chains of elementwise steps where the device is a GPU; True compiles crop,
    network and generator as a whole. A generator is left out of the latter that is no torch module, that needs a noise
    key, or that has `compiles = False`. Compiled, an embedding can be differentiated once.
    """

    def __init__(
        self,
        generator: Generator,
        crop: Callable[[Tensor], Tensor],
        network: FaceNetwork,
        precision: str = "float32",
        *,
        frame: str = "network",
        channels_last: bool = True,
        compile: bool | str = False,
    ):
        for part in (generator, crop, network):
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()
        self.generator = with_defaults(generator)
        self.crop = crop
        self.frame = frame
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)  # type: ignore[call-overload]  # torch's gap
        # A network that is no torch module inside (ONNX) goes where the images are.
        self.device = next((p.device for p in network.parameters()), generator.latent_mean.device)
        self.precision = resolve_precision(precision, self.device)
        self.steering = folded(self.network, torch.bfloat16 if self.precision == "bfloat16" else None)
        self._render_crops: Callable[[Tensor], Tensor] = self._rendered
        self._embed_crops: Callable[[Tensor], Tensor] = self._embedded
        if compile == "auto":
            compile_chains(self.device)
        elif compile:
            self._compile()

    @property
    def latent_mean(self) -> Tensor:
        """The generator's mean latent `[D]`."""
        return self.generator.latent_mean

    @property
    def needs_noise_key(self) -> bool:
        """Whether the generator's noise maps are random, so that `render` and `embed` need a noise key."""
        return self.generator.needs_noise_key

    @property
    def largest_activation(self) -> int:
        """Numbers per image in the largest tensor of an embedding pass."""
        return max(self.generator.largest_activation, largest_activation(self.network))

    @property
    def image_size(self) -> int:
        """Height and width of the images that `render` makes, pixels."""
        return self.generator.resolution if self.frame == "generator" else self.network.description.image_size

    def render(
        self, latents: Tensor, noise_key: NoiseKey | None = None, noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """RGB images `[B, 3, S, S]` of latents `[B, D]` in the frame of the model; differentiable.

        In [-1, 1] except for small excesses of the generator, which keep their gradient; code that stores pixels clips
        them.
        `noise` replaces the generator's noise maps.
        """
        if self.frame == "network" and not (noise or self.needs_noise_key):
            return self._render_crops(latents)
        keys = (noise_key,) if self.needs_noise_key else ()
        images = self.generator.render(latents, *keys, **({"noise": noise} if noise else {}))
        return images if self.frame == "generator" else self.crop(images)

    def embed(self, latents: Tensor, noise_key: NoiseKey | None = None) -> Tensor:
        """Unit embeddings `[B, E]`, in the number format of the images; differentiable in the latents."""
        return self.embed_images(self.render(latents, noise_key))

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit embeddings `[B, E]` of images in the frame of the model, in their number format; differentiable."""
        return self.embed_crops(self.crops_of(images))

    def crops_of(self, images: Tensor) -> Tensor:
        """The crops that the recognition network reads, of images in the frame of the model."""
        return self.crop(images) if self.frame == "generator" else images

    def embed_crops(self, crops: Tensor) -> Tensor:
        """Unit embeddings `[B, E]` of aligned crops, in their number format; differentiable."""
        return self._embed_crops(crops)

    def _compile(self) -> None:
        self._embed_crops = compiled(self._embedded, self.device)
        if isinstance(self.generator, nn.Module) and self.generator.compiles and not self.needs_noise_key:
            self._render_crops = compiled(self._rendered, self.device)
        else:
            self.crop = compiled(self.crop, self.device)

    def _rendered(self, latents: Tensor) -> Tensor:
        return self.crop(self.generator.render(latents))

    def _embedded(self, images: Tensor) -> Tensor:
        images = as_network_input(images, self.memory_format)
        with autocast(self.precision, self.device):
            embeddings = raw_embeddings(self.steering, images)
        return F.normalize(embeddings.to(images.dtype))


class WPlusFaceModel:
    """A face model whose latents are those of W+, one per layer of the generator, in one vector `[L·D]` over √L.

    So scaled, W lies in W+ with its distances: L equal latents are as far from L others as one of W from another, and
    the mean over the layers takes the step that the forces of W give it. Radii, coefficients and timesteps of the
    dynamics therefore mean in W+ what they mean in W.
    """

    def __init__(self, model: GeneratorFaceModel):
        layers = model.generator.layers
        if layers == 1:
            raise BrownidError(
                f"The space is w_plus, but the generator {type(model.generator).__name__} takes one latent per image: "
                "use the space w."
            )
        self.model, self.layers = model, layers
        self.scale = math.sqrt(layers)  # by which the vectors are divided

    @property
    def latent_mean(self) -> Tensor:
        """The generator's mean latent, the same in every layer, `[L·D]`."""
        return self.from_w(self.model.latent_mean)

    @property
    def needs_noise_key(self) -> bool:
        """Whether `render` and `embed` need a noise key."""
        return self.model.needs_noise_key

    @property
    def largest_activation(self) -> int:
        """Numbers per image in the largest tensor of an embedding pass."""
        return self.model.largest_activation

    def from_w(self, latents: Tensor) -> Tensor:
        """Latents `[..., D]` of W, the same in every layer, as `[..., L·D]`."""
        return self.from_w_plus(latents.unsqueeze(-2).expand(*latents.shape[:-1], self.layers, -1))

    def from_w_plus(self, latents: Tensor) -> Tensor:
        """Latents `[..., L, D]`, one per layer, as `[..., L·D]`."""
        return latents.flatten(-2) / self.scale

    def to_w_plus(self, latents: Tensor) -> Tensor:
        """Latents `[..., L·D]` as `[..., L, D]`, one per layer."""
        return latents.unflatten(-1, (self.layers, -1)) * self.scale

    def render(self, latents: Tensor, noise_key: NoiseKey | None = None) -> Tensor:
        """RGB images of latents `[B, L·D]`, as of `GeneratorFaceModel`."""
        return self.model.render(self.to_w_plus(latents), noise_key)

    def embed(self, latents: Tensor, noise_key: NoiseKey | None = None) -> Tensor:
        """Unit embeddings `[B, E]` of latents `[B, L·D]`; differentiable in the latents."""
        return self.model.embed(self.to_w_plus(latents), noise_key)


def compiled(function: Callable[[Tensor], Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
    """`function` of a batch, compiled when it is first called; with and without gradients are two programs.

    Batches of any size share a program; a batch of one has a program of its own, for the compiler takes a length of one
    as fixed. Raises `BrownidError` where there is no C++ compiler for the CPU, and, when called, where compiling fails.
    """
    if device.type == "cpu" and BACKEND == "inductor":
        _check_compiler()
    from torch import _dynamo  # slow to import, and needed by few

    program = torch.compile(function, backend=BACKEND)

    def call(batch: Tensor) -> Tensor:
        if len(batch) > 1:
            _dynamo.maybe_mark_dynamic(batch, 0)
        try:
            return program(batch)
        except _dynamo.exc.TorchDynamoException as error:
            raise BrownidError(f"torch.compile failed ({one_line(error)}): {ADVICE}.") from error

    return call


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise BrownidError(
            f"torch.compile needs a C++ compiler, and there is no {compiler!r}: install one, name another in the "
            f"environment variable CXX, or {ADVICE}."
        )
