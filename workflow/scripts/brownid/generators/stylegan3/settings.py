"""Settings of a StyleGAN3, and the sizes and bandwidths of its layers (Karras et al. 2021, section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeGuard

import numpy as np

from brownid.runtime.errors import BrownidError

# More than any network has: what a file declares beyond would take for ever to make.
MOST = {"img_resolution": 2**14, "mapping_layers": 1000, "num_layers": 1000, "margin_size": 2**14, "filter_size": 1000}
# Arguments of the published constructor that matter to its training or to half precision alone.
TRAINING_ARGUMENTS = frozenset({"num_fp16_res", "magnitude_ema_beta"})
TRAINING_MAPPING_ARGUMENTS = frozenset({"w_avg_beta", "freeze_layers", "freeze_embed"})


@dataclass(frozen=True)
class StyleGAN3Settings:
    """The architecture, under the names that the published constructor gives its arguments.

    The defaults are config T at 1024 x 1024 (FFHQ and FFHQ-U). Config R has `conv_kernel=1`, `channel_base=65536`,
    `channel_max=1024` and `use_radial_filters=True`; the published networks of 256 x 256 have half the `channel_base`.
    Frequencies are in cycles over the width of the image. Raises `BrownidError` where no network has such settings.
    """

    img_resolution: int = 1024  # height and width of an image, pixels; a power of two
    z_dim: int = 512
    w_dim: int = 512
    img_channels: int = 3
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01  # what the stored weights of the mapping are multiplied with
    channel_base: int = 32768  # channels of a layer = channel_base / (2 · its cutoff frequency), ...
    channel_max: int = 512  # ... but no more than this
    conv_kernel: int = 3  # 3: config T, equivariant to translation; 1: config R, to rotation as well
    use_radial_filters: bool = False  # rotationally symmetric low-pass filters when sampling down
    num_layers: int = 14  # without the input and the last layer, which makes colours
    num_critical: int = 2  # layers at the end whose cutoff is the Nyquist frequency of the image
    first_cutoff: float = 2.0
    first_stopband: float = 2.0**2.1
    last_stopband_rel: float = 2.0**0.3  # relative to the last cutoff
    margin_size: int = 10  # pixels that a layer has beyond each edge of the image
    output_scale: float = 0.25
    filter_size: int = 6  # taps of a low-pass filter for each sample of the lower rate
    lrelu_upsampling: int = 2  # how much finer than the signal the leaky ReLU is sampled
    conv_clamp: float | None = 256.0  # largest magnitude behind a nonlinearity; None: no limit

    def __post_init__(self) -> None:
        resolution = self.img_resolution
        _require(_is_power_of_two(resolution, least=16), self, "img_resolution", "a power of two of at least 16")
        for name in ("z_dim", "w_dim", "img_channels", "mapping_layers", "channel_base", "channel_max", "filter_size"):
            _require(_is_whole(getattr(self, name), least=1), self, name, "a whole number of at least 1")
        _require(self.conv_kernel in (1, 3), self, "conv_kernel", "1 (config R) or 3 (config T)")
        _require(_is_power_of_two(self.lrelu_upsampling, least=2), self, "lrelu_upsampling", "a power of two")
        _require(_is_whole(self.num_critical, least=0), self, "num_critical", "a whole number")
        _require(_is_whole(self.margin_size, least=0), self, "margin_size", "a whole number of pixels")
        _require(
            _is_whole(self.num_layers, least=max(1, self.num_critical + 1)), self, "num_layers", "above num_critical"
        )
        for name, most in MOST.items():
            _require(getattr(self, name) <= most, self, name, f"at most {most}")
        _require(0 < self.first_cutoff < resolution / 2, self, "first_cutoff", "between 0 and half the resolution")
        _require(self.first_stopband > self.first_cutoff, self, "first_stopband", "above first_cutoff")
        _require(self.last_stopband_rel > 1, self, "last_stopband_rel", "above 1")
        _require(self.mapping_lr_multiplier > 0, self, "mapping_lr_multiplier", "positive")
        _require(self.output_scale > 0, self, "output_scale", "positive")
        _require(self.conv_clamp is None or self.conv_clamp > 0, self, "conv_clamp", "positive, or None")

    @property
    def num_ws(self) -> int:
        """How many latents an image takes: one for the input and one for every layer, the last included."""
        return self.num_layers + 2

    @classmethod
    def from_nvidia(cls, arguments: Mapping[str, Any]) -> "StyleGAN3Settings":
        """The settings of a published network, from the constructor arguments that its file carries.

        Arguments that only training knows are passed over; every other one that is unknown here is refused by name,
        since it would change the images, and so is a network with class labels (`c_dim` above 0).
        """
        arguments = {name: value for name, value in arguments.items() if name not in TRAINING_ARGUMENTS}
        if arguments.pop("c_dim", 0):
            raise BrownidError("This StyleGAN3 takes class labels (c_dim is not 0): only networks without are known.")
        mapping = {
            name: value
            for name, value in dict(arguments.pop("mapping_kwargs", None) or {}).items()
            if name not in TRAINING_MAPPING_ARGUMENTS
        }
        for published, ours in (("num_layers", "mapping_layers"), ("lr_multiplier", "mapping_lr_multiplier")):
            if published in mapping:
                arguments[ours] = mapping.pop(published)
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(arguments) - known) + [f"mapping_kwargs.{name}" for name in sorted(mapping)]
        if unknown:
            raise BrownidError(
                f"This StyleGAN3 was made with the unknown arguments {', '.join(unknown)}: it is a variant whose "
                "images would come out wrong; only the published architecture is known."
            )
        missing = sorted({"img_resolution", "z_dim", "w_dim"} - set(arguments))
        if missing:
            raise BrownidError(f"The constructor arguments of this StyleGAN3 lack {', '.join(missing)}.")
        return cls(**arguments)


def _is_whole(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_power_of_two(value: object, least: int) -> bool:
    return _is_whole(value, least) and value & (value - 1) == 0


def _require(fulfilled: bool, settings: StyleGAN3Settings, name: str, wanted: str) -> None:
    if not fulfilled:
        raise BrownidError(f"StyleGAN3's {name} is {getattr(settings, name)!r}: it must be {wanted}.")


# At 256 x 256 the tenth layer's stopband is a power of two but for rounding: a hair must not double its rate.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Signal:
    """What runs between two layers."""

    channels: int
    size: int  # height and width with margins, samples
    rate: int  # samples over the width of the image
    cutoff: float
    half_width: float  # of the transition band


@dataclass(frozen=True)
class LayerPlan:
    """One layer: what comes in, what goes out, and how it is sampled in between."""

    index: int
    incoming: Signal
    outgoing: Signal
    to_colours: bool  # the last layer: no demodulation, no nonlinearity, no filters
    radial_down_filter: bool
    kernel: int
    inner_rate: int  # of the leaky ReLU

    @property
    def name(self) -> str:
        """The published name of the layer: index, size and channels of what it puts out."""
        return f"L{self.index}_{self.outgoing.size}_{self.outgoing.channels}"

    @property
    def up(self) -> int:
        """How many samples the leaky ReLU sees for each one that comes in, along one axis."""
        return self.inner_rate // self.incoming.rate

    @property
    def down(self) -> int:
        """How many samples the leaky ReLU sees for each one that goes out, along one axis."""
        return self.inner_rate // self.outgoing.rate


def signals(settings: StyleGAN3Settings) -> list[Signal]:
    """What each layer puts out, `num_layers + 1` of them; the input has the same shape and band as the first."""
    last_cutoff = settings.img_resolution / 2
    last_stopband = last_cutoff * settings.last_stopband_rel
    growing = settings.num_layers - settings.num_critical
    progress = np.minimum(np.arange(settings.num_layers + 1) / growing, 1)
    cutoffs = settings.first_cutoff * (last_cutoff / settings.first_cutoff) ** progress
    stopbands = settings.first_stopband * (last_stopband / settings.first_stopband) ** progress
    rates = 2 ** np.ceil(np.log2(np.minimum(2 * stopbands, settings.img_resolution)) - ROUNDING)
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + 2 * settings.margin_size
    sizes[-2:] = settings.img_resolution
    channels = np.rint(np.minimum(settings.channel_base / 2 / cutoffs, settings.channel_max))
    channels[-1] = settings.img_channels
    columns = zip(channels, sizes, rates, cutoffs, half_widths, strict=True)
    return [Signal(int(c), int(size), int(rate), float(f), float(h)) for c, size, rate, f, h in columns]


def layer_plans(settings: StyleGAN3Settings) -> list[LayerPlan]:
    """The layers from the input to the colours."""
    outgoing = signals(settings)
    incoming = [outgoing[0], *outgoing[:-1]]
    plans = []
    for index, (before, after) in enumerate(zip(incoming, outgoing, strict=True)):
        last = index == settings.num_layers
        critical = index >= settings.num_layers - settings.num_critical
        finer = 1 if last else settings.lrelu_upsampling
        plans.append(
            LayerPlan(
                index=index,
                incoming=before,
                outgoing=after,
                to_colours=last,
                radial_down_filter=settings.use_radial_filters and not critical,
                kernel=1 if last else settings.conv_kernel,
                inner_rate=max(before.rate, after.rate) * finer,
            )
        )
    return plans
