"""Arc2Face behind the protocol of embedding-conditioned generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.generators.arc2face.encoder import IdentityEncoder
from brownid.generators.arc2face.settings import Arc2FaceSettings
from brownid.generators.average_face import AverageFace
from brownid.generators.ldm.components import positive_scale
from brownid.generators.ldm.sampling import decode, denoise, make_scheduler
from brownid.generators.protocol import GeneratorDefaults

if TYPE_CHECKING:
    from brownid.randomness import NoiseKey

UNIT = 1e-3  # how far from 1 the length of an embedding may be, for rounding


class Arc2Face(GeneratorDefaults, nn.Module):
    """Face pictures from face embeddings by latent diffusion with classifier-free guidance; not differentiable.

    `unet`, `vae` are a UNet2DConditionModel and an AutoencoderKL of diffusers, `encoder` the text encoder,
    `noise_levels` the settings in a scheduler_config.json. The unet and vae compute in the number format of their
    parameters, the encoder and what lies between two steps in float32. A picture depends on its embedding and on the
    noise of its noise key, on its batch only by rounding.
    """

    embedding_conditioned = True
    needs_noise_key = True
    differentiable = False
    compiles = False

    def __init__(
        self,
        unet: nn.Module,
        vae: nn.Module,
        encoder: IdentityEncoder,
        noise_levels: Mapping[str, Any],
        settings: Arc2FaceSettings,
    ) -> None:
        super().__init__()
        self.unet, self.vae, self.encoder = unet, vae, encoder
        self.noise_levels = dict(noise_levels)
        self.settings = settings
        channels = vae.config.latent_channels
        seen = (unet.config.in_channels, unet.config.out_channels)
        if seen != (channels, channels):
            raise BrownidError(
                f"Arc2Face's unet turns {seen[0]} channels into {seen[1]}, the vae decodes {channels}: is the base "
                "Stable Diffusion 1.5?"
            )
        if unet.config.cross_attention_dim != encoder.width:
            raise BrownidError(
                f"Arc2Face's unet listens to {unet.config.cross_attention_dim} numbers a word, its text encoder says "
                f"{encoder.width}: they do not belong together."
            )
        self._scale = positive_scale(vae.config.scaling_factor)
        self._shrinks = _halvings(vae)
        self.resolution = settings.side or unet.config.sample_size * self._shrinks
        multiple = self._shrinks * _halvings(unet)
        if self.resolution % multiple:
            raise BrownidError(f"side is {self.resolution}, but Arc2Face's images have a multiple of {multiple}.")
        self.landmarks = AverageFace().points(self.resolution)
        make_scheduler(settings.scheduler, noise_levels, settings.steps, self.device)  # refuses wrong steps now

    @property
    def embedding_dim(self) -> int:
        """Components E of an embedding."""
        return self.settings.embedding_dim

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.unet.parameters()).device

    @torch.inference_mode()
    def render_embeddings(self, embeddings: Tensor, noise_key: NoiseKey) -> Tensor:
        """RGB images `[B, 3, R, R]` in [-1, 1], float32, of unit embeddings `[B, E]`.

        `noise_key` decides the noise that each image begins with. Raises `BrownidError` for embeddings of another
        dimension, or not of unit length.
        """
        self._check(embeddings)
        side = self.resolution // self._shrinks
        noise = noise_key.normal("arc2face/noise", (self.vae.config.latent_channels, side, side)).to(self.device)
        prompts = self.encoder(embeddings.to(self.device))
        guided = self.settings.guidance_scale != 1
        if guided:
            prompts = torch.cat([self.encoder.unconditional().expand_as(prompts), prompts])
        dtype = next(self.unet.parameters()).dtype
        prompts = prompts.to(dtype)

        def predict(latents: Tensor, time: Tensor) -> Tensor:
            doubled = torch.cat([latents, latents]) if guided else latents
            predicted = self.unet(doubled.to(dtype), time, encoder_hidden_states=prompts).sample
            if not guided:
                return predicted
            without, with_identity = predicted.float().chunk(2)
            # Ho and Salimans, "Classifier-free diffusion guidance", 2022, in the form of diffusers
            return torch.lerp(without, with_identity, self.settings.guidance_scale)

        scheduler = make_scheduler(self.settings.scheduler, self.noise_levels, self.settings.steps, self.device)
        latents = denoise(predict, noise, scheduler)
        return decode(self.vae, latents / self._scale)

    def _check(self, embeddings: Tensor) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_dim:
            raise BrownidError(
                f"Embeddings of the shape {list(embeddings.shape)} do not fit this Arc2Face: it takes "
                f"[batch, {self.embedding_dim}], of the network that it was trained with."
            )
        lengths = embeddings.float().norm(dim=1)
        wrong = ((lengths - 1).abs() <= UNIT).logical_not()  # true for NaN
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise BrownidError(
                f"Row {row} of the embeddings has the length {lengths[row]:.4g}, but Arc2Face takes unit vectors: "
                "divide each embedding by its length."
            )


def _halvings(network: nn.Module) -> int:
    """By how much a network of diffusers makes an image smaller on its way in: half at every block but the last."""
    return 2 ** (len(network.config.block_out_channels) - 1)
