"""Unconditional latent diffusion models behind the generator protocol."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brownid.generators.diffusion.components import (
    LibraryNetwork,
    build_network,
    decode,
    denoise,
    draw_weights,
    fitting,
    in_format,
    load_network,
    make_scheduler,
    positive_scale,
    read_json,
)
from brownid.generators.protocol import AverageFace, GeneratorDefaults
from brownid.generators.settings import DiffusionSizes, LatentDiffusionSettings
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import compute_dtype
from brownid.weights.catalogue import CONFIG, LDM_PAGE, SCHEDULE


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
        unet: LibraryNetwork,
        vqvae: LibraryNetwork,
        noise_levels: Mapping[str, Any],
        *,
        scale: float,
        steps: int,
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
        make_scheduler("ddim", noise_levels, steps)  # refuses wrong steps now

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
        scheduler = make_scheduler("ddim", self.noise_levels, self.steps)
        clean = denoise(lambda noisy, time: self.unet(noisy.to(dtype), time).sample, noise, scheduler)
        return decode(self.vqvae, clean / self.scale)

    def _check(self, latents: Tensor) -> None:
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
            raise BrownidError(
                f"Latents of the shape {list(latents.shape)} do not fit this latent diffusion model: it takes "
                f"[batch, {self.latent_dim}]."
            )


# The published faces', as their scheduler_config.json has them.
NOISE_LEVELS = {"num_train_timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}
NOISE_LEVELS |= {"clip_sample": False}
# What latent images are divided by where the file does not say. That of VQModel is latent diffusion's own: diffusers
# would take Stable Diffusion's number, with which the published faces become noise (its issue 6725).
_SCALES = {"VQModel": 1.0, "AutoencoderKL": 0.18215}


def ldm(settings: LatentDiffusionSettings, device: str | torch.device = "cpu") -> LatentDiffusion:
    """A latent diffusion model of the weights in a folder, or of sizes and weights drawn by the seed.

    Nothing is fetched, and nothing in the files is executed. Raises `BrownidError` where a file is missing or does not
    fit, or where diffusers is not installed.
    """
    face = AverageFace(settings.template, settings.eyes, settings.landmarks)
    dtype = compute_dtype(settings.precision, device)
    if settings.random is not None:
        options = {"scale": settings.scaling_factor or 1.0, "steps": settings.steps}
        generator = random_ldm(settings.random, settings.seed, **options)
    else:
        place = Path(settings.folder)
        described = read_json(place / "vqvae" / CONFIG, LDM_PAGE)
        unet = load_network(place / "unet", ("UNet2DModel",), LDM_PAGE)
        decoder = load_network(place / "vqvae", tuple(_SCALES), LDM_PAGE)
        noise_levels = read_json(place / "scheduler" / SCHEDULE, LDM_PAGE)
        with fitting(str(place), LDM_PAGE):
            scale = settings.scaling_factor or _scale_of(described)
            generator = LatentDiffusion(unet, decoder, noise_levels, scale=scale, steps=settings.steps)
    generator.landmarks = face.points(generator.resolution)
    return in_format(generator, dtype, ("unet", "vqvae")).to(device)


def random_ldm(sizes: DiffusionSizes, seed: int, **options: Any) -> LatentDiffusion:
    """A latent diffusion model of the published layout in small, each matrix drawn from (seed, its name).

    `options` are the keyword arguments of `LatentDiffusion`.
    """
    blocks = [sizes.channels, 2 * sizes.channels]
    common = {"block_out_channels": blocks, "layers_per_block": 1, "norm_num_groups": 4}
    vqvae = {
        **common,
        "sample_size": sizes.image_size,
        "num_vq_embeddings": 64,
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    }
    unet = {
        **common,
        "sample_size": sizes.image_size // 2,
        "attention_head_dim": 4,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    }
    return LatentDiffusion(
        draw_weights(build_network("UNet2DModel", unet), seed, "ldm/unet"),
        draw_weights(build_network("VQModel", vqvae), seed, "ldm/vqvae"),
        NOISE_LEVELS,
        **options,
    )


def _scale_of(described: Mapping[str, Any]) -> float:
    """Divisor of latent images in a decoder's config.json, or its default."""
    return positive_scale(described.get("scaling_factor") or _SCALES.get(described.get("_class_name", ""), 1.0))
