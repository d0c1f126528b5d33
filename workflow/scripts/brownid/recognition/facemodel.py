"""The face model that the dynamics see: latents in, images and embeddings out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.precision import autocast, resolve_precision
from brownid.randomness import NoiseKey
from brownid.recognition.compiling import compiled
from brownid.recognition.embedding import as_network_input, raw_embeddings


class FaceModel:
    """Generator, alignment crop and recognition network as one map from latents `[B, D]` to the sphere.

    It changes the two networks it is given: their parameters no longer take gradients (a third of the work of a force)
    and they are put in evaluation mode. `precision` ("float32", "bfloat16", "auto") is that of the recognition network;
    a generator has its own.

    Two options are for speed and change results by rounding only: `channels_last`, the recognition network's layout in
    memory, and `compile`, torch.compile of crop, network and generator. A generator is left out that is no torch
    module, that has noise maps of each item's own, or that says `compiles = False`. Compiled, an embedding can be
    differentiated once.
    """

    def __init__(
        self,
        generator: object,
        crop: Callable[[Tensor], Tensor],
        network: nn.Module,
        precision: str = "float32",
        *,
        channels_last: bool = True,
        compile: bool = False,
    ):
        for part in (generator, crop, network):
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()
        self.generator = generator
        self.crop = crop
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        # A network that is no torch module inside (ONNX) goes where the images are.
        self.device = next((p.device for p in network.parameters()), generator.latent_mean.device)
        self.precision = resolve_precision(precision, self.device)
        self._render, self._embed_images = self._rendered, self._embedded
        if compile:
            self._compile()

    @property
    def latent_mean(self) -> Tensor:
        """The generator's mean latent `[D]`."""
        return self.generator.latent_mean

    @property
    def needs_noise_key(self) -> bool:
        """Whether the generator's noise maps are random, so that `render` and `embed` need a noise key."""
        return getattr(self.generator, "needs_noise_key", False)

    def render(self, latents: Tensor, noise_key: NoiseKey | None = None) -> Tensor:
        """Aligned RGB images `[B, 3, S, S]`, as the network reads them; differentiable.

        In [-1, 1] but for small excesses of the generator, which keep their gradient: whoever stores pixels cuts them.
        """
        if self.needs_noise_key:
            return self.crop(self.generator.render(latents, noise_key))
        return self._render(latents)

    def embed(self, latents: Tensor, noise_key: NoiseKey | None = None) -> Tensor:
        """Unit embeddings `[B, E]`, in the number format of the images; differentiable in the latents."""
        return self.embed_images(self.render(latents, noise_key))

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit embeddings `[B, E]` of images that `render` made, in their number format; differentiable."""
        return self._embed_images(images)

    def _compile(self) -> None:
        self._embed_images = compiled(self._embedded, self.device)
        module = isinstance(self.generator, nn.Module) and getattr(self.generator, "compiles", True)
        if module and not self.needs_noise_key:
            self._render = compiled(self._rendered, self.device)
        else:
            self.crop = compiled(self.crop, self.device)

    def _rendered(self, latents: Tensor) -> Tensor:
        return self.crop(self.generator.render(latents))

    def _embedded(self, images: Tensor) -> Tensor:
        images = as_network_input(images, self.memory_format)
        with autocast(self.precision, self.device):
            embeddings = raw_embeddings(self.network, images)
        return F.normalize(embeddings.to(images.dtype))
