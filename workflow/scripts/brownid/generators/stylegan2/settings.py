"""What shape a StyleGAN2 generator has: the constructor arguments that its weights fit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brownid.runtime.errors import BrownidError

SMALLEST, LARGEST = 4, 2**14  # pixels: the side of the learned constant, and of more than any published image
MOST_LAYERS = 1000

# NVIDIA's names of the constructor arguments, and ours.
_TOP = {"z_dim": "z_dim", "c_dim": "c_dim", "w_dim": "w_dim", "img_resolution": "resolution"}
_MAPPING = {
    "num_layers": "mapping_layers",
    "layer_features": "mapping_width",
    "embed_features": "label_width",
    "lr_multiplier": "mapping_rate",
}
_SYNTHESIS = {name: name for name in ("channel_base", "channel_max", "conv_clamp", "use_noise")}
# What only training or half precision needs.
_WITHOUT_EFFECT = {
    *("w_avg_beta", "freeze_layers", "freeze_embed"),
    *("num_fp16_res", "fp16_channels_last", "fused_modconv_default"),
}
# What this module knows in one form only.
_ONLY = {"img_channels": 3, "architecture": "skip", "activation": "lrelu", "kernel_size": 3}
_FILTER = [1, 3, 3, 1]


@dataclass(frozen=True)
class StyleGAN2Settings:
    """Sizes of a StyleGAN2 generator (skip architecture, RGB); the defaults are those of NVIDIA's class."""

    resolution: int = 256  # pixels, a power of two
    z_dim: int = 512  # of the normal input
    w_dim: int = 512  # of a latent
    c_dim: int = 0  # of a label; 0: the generator takes none
    mapping_layers: int = 8
    mapping_width: int | None = None  # features between the mapping layers; None: w_dim
    label_width: int | None = None  # features of an embedded label; None: w_dim
    mapping_rate: float = 0.01  # learning rate of the mapping layers, a factor on their stored weights
    channel_base: int = 32768  # a layer at r pixels has channel_base / r channels ...
    channel_max: int = 512  # ... and at most these
    conv_clamp: float | None = None  # largest magnitude of a layer's output; None: any
    use_noise: bool = True  # whether the layers have noise maps

    def __post_init__(self) -> None:
        for name in ("resolution", "z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max"):
            _check_whole(name, getattr(self, name), 1)
        if max(self.mapping_layers / MOST_LAYERS, self.resolution / LARGEST) > 1:
            raise BrownidError(
                f"A StyleGAN2 has at most {MOST_LAYERS} mapping_layers and a resolution of {LARGEST}, not "
                f"{self.mapping_layers} and {self.resolution}."
            )
        _check_whole("c_dim", self.c_dim, 0)
        for name in ("mapping_width", "label_width"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1)
        if self.resolution < SMALLEST or self.resolution & (self.resolution - 1):
            raise BrownidError(f"A StyleGAN2 resolution is a power of two from {SMALLEST} on, not {self.resolution}.")
        if self.channel_base < self.resolution:
            raise BrownidError(
                f"A StyleGAN2 channel_base of {self.channel_base} leaves no channel at {self.resolution} pixels: "
                "it must be at least the resolution."
            )
        if not (self.mapping_rate > 0 and math.isfinite(self.mapping_rate)):
            raise BrownidError(f"A StyleGAN2 mapping_rate must be positive, not {self.mapping_rate}.")
        if self.conv_clamp is not None and not self.conv_clamp > 0:
            raise BrownidError(f"A StyleGAN2 conv_clamp must be positive or None, not {self.conv_clamp}.")

    @property
    def resolutions(self) -> list[int]:
        """The sides of the blocks, from the smallest to the image."""
        return [2**power for power in range(SMALLEST.bit_length() - 1, self.resolution.bit_length())]

    @property
    def layers(self) -> int:
        """How many latents a picture takes in W+: one a convolution, and one for the last layer to RGB."""
        return 2 * len(self.resolutions)

    def channels(self, resolution: int) -> int:
        """Channels of a layer at `resolution` pixels."""
        return min(self.channel_base // resolution, self.channel_max)

    @classmethod
    def from_nvidia(cls, arguments: Mapping[str, Any]) -> "StyleGAN2Settings":
        """The settings in the constructor arguments of NVIDIA's `Generator`, as its files carry them.

        Takes `z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs, synthesis_kwargs`. What only training
        or half precision needs has no effect; an argument of another architecture is refused by name.
        """
        nested = ("mapping_kwargs", "synthesis_kwargs")
        parts = {
            "": ({k: v for k, v in arguments.items() if k not in nested}, _TOP),
            "mapping_kwargs": (dict(arguments.get("mapping_kwargs") or {}), _MAPPING),
            "synthesis_kwargs": (dict(arguments.get("synthesis_kwargs") or {}), _SYNTHESIS),
        }
        missing = [name for name in _TOP if name not in arguments]
        if missing:
            raise BrownidError(f"The StyleGAN2 constructor arguments lack {', '.join(missing)}.")
        found = {}
        for part, (values, ours) in parts.items():
            for name, value in values.items():
                if name in ours:
                    found[ours[name]] = value
                elif not _known(name, value):
                    place = f"{part}.{name}" if part else name
                    raise BrownidError(
                        f"This StyleGAN2 file was made with {place} = {value!r}, which this generator does not "
                        "support: it knows the skip architecture, leaky ReLU and the resampling filter 1, 3, 3, 1."
                    )
        return cls(**found)


def _known(name: str, value: Any) -> bool:
    if name == "resample_filter":
        return list(value) == _FILTER
    return name in _WITHOUT_EFFECT or (name in _ONLY and value == _ONLY[name])


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BrownidError(f"A StyleGAN2 {name} must be a whole number of at least {least}, not {value!r}.")
