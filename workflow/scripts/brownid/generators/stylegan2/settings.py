"""Architecture of a StyleGAN2 generator: the constructor arguments of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import Settings, setting

SMALLEST, LARGEST = 4, 2**14  # pixels: the side of the learned constant, and of more than any published image

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
class StyleGAN2Settings(Settings):
    """Sizes of a StyleGAN2 generator (skip architecture, RGB); the defaults are those of NVIDIA's class."""

    resolution: int = setting(256, "Image side, a power of two.", unit="pixels", minimum=SMALLEST, maximum=LARGEST)
    z_dim: int = setting(512, "Dimension of the normal input.", minimum=1)
    w_dim: int = setting(512, "Dimension of a latent.", minimum=1)
    c_dim: int = setting(0, "Dimension of a label; 0: the generator takes none.", minimum=0)
    mapping_layers: int = setting(8, "Number of mapping layers.", minimum=1, maximum=1000)
    mapping_width: int | None = setting(None, "Features between the mapping layers; None: w_dim.", minimum=1)
    label_width: int | None = setting(None, "Features of an embedded label; None: w_dim.", minimum=1)
    mapping_rate: float = setting(0.01, "Learning rate of the mapping layers, a factor on stored weights.", above=0)
    channel_base: int = setting(32768, "A layer at r pixels has channel_base / r channels.", minimum=1)
    channel_max: int = setting(512, "Largest number of channels of a layer.", minimum=1)
    conv_clamp: float | None = setting(None, "Largest magnitude of a layer's output; None: any.", above=0)
    use_noise: bool = setting(True, "Whether the layers have noise maps.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution & (self.resolution - 1):
            raise BrownidError(f"A StyleGAN2 resolution is a power of two from {SMALLEST} on, not {self.resolution}.")
        if self.channel_base < self.resolution:
            raise BrownidError(
                f"A StyleGAN2 channel_base of {self.channel_base} leaves no channel at {self.resolution} pixels: "
                "it must be at least the resolution."
            )

    @property
    def resolutions(self) -> list[int]:
        """The sides of the blocks, from the smallest to the image."""
        return [2**power for power in range(SMALLEST.bit_length() - 1, self.resolution.bit_length())]

    @property
    def layers(self) -> int:
        """Number of latents per image in W+: one per convolution, and one for the last layer to RGB."""
        return 2 * len(self.resolutions)

    def channels(self, resolution: int) -> int:
        """Channels of a layer at `resolution` pixels."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def largest_activation(self) -> int:
        """Numbers per image in the largest tensor: what a transposed convolution puts out, before its filter."""
        return max(self.channels(resolution) * (resolution + 1) ** 2 for resolution in self.resolutions)

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
