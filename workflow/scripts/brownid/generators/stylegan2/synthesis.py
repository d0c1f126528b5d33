"""StyleGAN2's synthesis network: blocks of doubling resolution whose RGB outputs are summed (skip architecture)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from brownid.generators.stylegan2 import operations
from brownid.generators.stylegan2.layers import SynthesisLayer, ToRGB
from brownid.generators.stylegan2.settings import SMALLEST, StyleGAN2Settings


class SynthesisBlock(nn.Module):
    """Two convolutions (one in the smallest block, which starts from a learned constant) and a layer to RGB."""

    def __init__(self, settings: StyleGAN2Settings, resolution: int) -> None:
        super().__init__()
        channels, w_dim = settings.channels(resolution), settings.w_dim
        shared = {"resolution": resolution, "clamp": settings.conv_clamp, "use_noise": settings.use_noise}
        self.first = resolution == SMALLEST
        self.register_buffer("resample_filter", operations.resample_filter())
        if self.first:
            self.const = nn.Parameter(torch.zeros(channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(settings.channels(resolution // 2), channels, w_dim, up=True, **shared)
        self.conv1 = SynthesisLayer(channels, channels, w_dim, up=False, **shared)
        self.torgb = ToRGB(channels, w_dim, settings.conv_clamp)


class Synthesis(nn.Module):
    """Latents `[B, L, D]` to images `[B, 3, R, R]`."""

    def __init__(self, settings: StyleGAN2Settings) -> None:
        super().__init__()
        self.resolutions = settings.resolutions
        for resolution in self.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(settings, resolution))

    def blocks(self) -> Iterator[tuple[str, SynthesisBlock]]:
        """Name and block, from the smallest on."""
        return ((f"b{resolution}", self.get_submodule(f"b{resolution}")) for resolution in self.resolutions)

    def noisy_layers(self) -> dict[str, SynthesisLayer]:
        """The layers that have a noise map, by the name of the map ("b8.conv0")."""
        named = self.named_modules()
        return {name: m for name, m in named if isinstance(m, SynthesisLayer) and hasattr(m, "noise_const")}

    def forward(
        self,
        latents: Tensor,
        noise: Mapping[str, Tensor],
        dtype: torch.dtype,
        memory_format: torch.memory_format,
    ) -> Tensor:
        """Images in the number format of the parameters, their activations in `dtype`.

        `noise` holds maps that broadcast to `[B, 1, r, r]`, by layer; a layer without one gets none. In W+, the layer
        to RGB of a block shares its latent with the first convolution of the next.
        """
        taken = 0
        image: Tensor | None = None
        for name, block in self.blocks():
            if block.first:
                x = block.const.to(dtype).expand(len(latents), -1, -1, -1).contiguous(memory_format=memory_format)
            else:
                x = block.conv0(x, latents[:, taken], noise.get(f"{name}.conv0"))
                taken += 1
            x = block.conv1(x, latents[:, taken], noise.get(f"{name}.conv1"))
            taken += 1
            rgb = block.torgb(x, latents[:, taken])
            image = rgb if image is None else operations.upsample(image, block.resample_filter) + rgb
        return image
