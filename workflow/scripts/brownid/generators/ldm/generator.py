"""An unconditional latent diffusion model behind the generator protocol.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022, sampled by DDIM without noise
on the way (Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, eta = 0): the image is then a function of the
noise that it begins with, which is the latent here.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.generators.average_face import AverageFace
from brownid.generators.ldm.sampling import decode, denoise, make_scheduler
from brownid.generators.protocol import GeneratorDefaults


class LatentDiffusion(GeneratorDefaults, nn.Module):
    """Random faces by latent diffusion: for galleries and random references, since no gradients are formed.

    `unet` and `vqvae` are a UNet2DModel and a VQModel or AutoencoderKL of diffusers, `noise_levels` the settings in a
    scheduler_config.json, `scale` what the model's latent images are divided by for the decoder. `landmarks`
    of an average face are FFHQ's; set others as `AverageFace` says. Both networks compute in the number format of their
    parameters.
    """

    differentiable = False
    compiles = False

    def __init__(
        self,
        unet: nn.Module,
        vqvae: nn.Module,
        noise_levels: Mapping[str, Any],
        *,
        scale: float,
        steps: int = 50,
    ) -> None:
        super().__init__()
        self.unet, self.vqvae = unet, vqvae
        self.noise_levels = dict(noise_levels)
        self.scale = scale
        self.steps = steps
        channels = vqvae.config.latent_channels
        seen = (unet.config.in_channels, unet.config.out_channels)
        if seen != (channels, channels):
            raise BrownidError(
                f"The unet of the latent diffusion model turns {seen[0]} channels into {seen[1]}, its vqvae decodes "
                f"{channels}: they do not belong together."
            )
        side = unet.config.sample_size
        self._shape = (channels, side, side)
        self.latent_dim: int = channels * side * side
        self.resolution: int = side * 2 ** (len(vqvae.config.block_out_channels) - 1)
        self.landmarks = AverageFace().points(self.resolution)
        self.latent_mean: Tensor
        self.register_buffer("latent_mean", torch.zeros(self.latent_dim), persistent=False)
        make_scheduler("ddim", noise_levels, steps, self.latent_mean.device)  # refuses wrong steps now

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`: the same numbers, times `truncation`."""
        self._check(z)
        return z.to(self.latent_mean) * truncation

    @torch.inference_mode()
    def render(self, latents: Tensor) -> Tensor:
        """Latents `[B, D]`, the noise that the images begin with, to RGB images `[B, 3, R, R]` in [-1, 1], float32."""
        self._check(latents)
        dtype = next(self.unet.parameters()).dtype
        noise = latents.to(self.latent_mean).view(-1, *self._shape)
        scheduler = make_scheduler("ddim", self.noise_levels, self.steps, self.latent_mean.device)
        clean = denoise(lambda noisy, time: self.unet(noisy.to(dtype), time).sample, noise, scheduler)
        return decode(self.vqvae, clean / self.scale)

    def _check(self, latents: Tensor) -> None:
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
            raise BrownidError(
                f"Latents of the shape {list(latents.shape)} do not fit this latent diffusion model: it takes "
                f"[batch, {self.latent_dim}]."
            )
