"""The face model that the dynamics see: latents in, images and embeddings out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.randomness import Address
from brownid.recognition.embedding import as_network_input, raw_embeddings
from brownid.recognition.precision import autocast, resolve_precision


class FaceModel:
    """Generator, alignment crop and recognition network as one map from latents `[B, D]` to the sphere.

    It changes the two networks it is given: their parameters no longer take gradients (a third of the work of a force)
    and they are put in evaluation mode. `precision` ("float32", "bfloat16", "auto") is that of the recognition network;
    rendering stays in float32.
    """

    def __init__(
        self,
        generator: object,
        crop: Callable[[Tensor], Tensor],
        network: nn.Module,
        precision: str = "float32",
    ):
        for part in (generator, crop, network):
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()
        self.generator = generator
        self.crop = crop
        self.network = network.to(memory_format=torch.channels_last)
        self.device = next((p.device for p in network.parameters()), torch.device("cpu"))
        self.precision = resolve_precision(precision, self.device)

    @property
    def latent_mean(self) -> Tensor:
        """The generator's mean latent `[D]`."""
        return self.generator.latent_mean

    @property
    def takes_address(self) -> bool:
        """Whether the generator has noise maps of each item's own, so that `render` and `embed` need an address."""
        return getattr(self.generator, "takes_address", False)

    def render(self, latents: Tensor, address: Address | None = None) -> Tensor:
        """Aligned RGB images `[B, 3, S, S]` in [-1, 1], as the network reads them; differentiable."""
        images = self.generator.render(latents, address) if self.takes_address else self.generator.render(latents)
        return self.crop(images)

    def embed(self, latents: Tensor, address: Address | None = None) -> Tensor:
        """Unit embeddings `[B, E]`, in the number format of the images; differentiable in the latents."""
        return self.embed_images(self.render(latents, address))

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit embeddings `[B, E]` of images that `render` made, in their number format; differentiable."""
        images = as_network_input(images)
        with autocast(self.precision, self.device):
            embeddings = raw_embeddings(self.network, images)
        return F.normalize(embeddings.to(images.dtype))
