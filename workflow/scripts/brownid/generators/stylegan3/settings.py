"""Settings of a StyleGAN3, and the sizes and bandwidths of its layers (Karras et al. 2021, section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import Settings, setting

# Arguments of the published constructor that matter to its training or to half precision alone.
TRAINING_ARGUMENTS = frozenset({"num_fp16_res", "magnitude_ema_beta"})
TRAINING_MAPPING_ARGUMENTS = frozenset({"w_avg_beta", "freeze_layers", "freeze_embed"})


@dataclass(frozen=True)
class StyleGAN3Settings(Settings):
    """The architecture, under the names that the published constructor gives its arguments.

    The defaults are config T at 1024 x 1024 (FFHQ and FFHQ-U). Config R has `conv_kernel=1`, `channel_base=65536`,
    `channel_max=1024` and `use_radial_filters=True`; the published networks of 256 x 256 have half the `channel_base`.
    Frequencies are in cycles over the width of the image. Raises `BrownidError` where no network has such settings.
    """

    img_resolution: int = setting(1024, "Image side, a power of two.", unit="pixels", minimum=16, maximum=2**14)
    z_dim: int = setting(512, "Dimension of the normal input.", minimum=1)
    w_dim: int = setting(512, "Dimension of a latent.", minimum=1)
    img_channels: int = setting(3, "Number of colours.", minimum=1)
    mapping_layers: int = setting(2, "Number of mapping layers.", minimum=1, maximum=1000)
    mapping_lr_multiplier: float = setting(0.01, "What the stored weights of the mapping are multiplied with.", above=0)
    channel_base: int = setting(32768, "A layer has channel_base / (2 · its cutoff frequency) channels.", minimum=1)
    channel_max: int = setting(512, "Largest number of channels of a layer.", minimum=1)
    conv_kernel: int = setting(
        3, "3: config T, equivariant to translation; 1: config R, also to rotation.", choices=(1, 3)
    )
    use_radial_filters: bool = setting(False, "Rotationally symmetric low-pass filters when sampling down.")
    num_layers: int = setting(14, "Layers between the input and the one that makes colours.", minimum=1, maximum=1000)
    num_critical: int = setting(2, "Layers at the end whose cutoff is the Nyquist frequency of the image.", minimum=0)
    first_cutoff: float = setting(2.0, "Cutoff frequency of the first layer.", above=0)
    first_stopband: float = setting(2.0**2.1, "Stopband of the first layer, above its cutoff.", above=0)
    last_stopband_rel: float = setting(2.0**0.3, "Stopband of the last layer relative to its cutoff.", above=1)
    margin_size: int = setting(10, "Margin of a layer beyond each edge.", unit="pixels", minimum=0, maximum=2**14)
    output_scale: float = setting(0.25, "Factor on the colours of the last layer.", above=0)
    filter_size: int = setting(6, "Taps of a low-pass filter per sample of the lower rate.", minimum=1, maximum=1000)
    lrelu_upsampling: int = setting(2, "How much finer than the signal the leaky ReLU is sampled.", minimum=2)
    conv_clamp: float | None = setting(256.0, "Largest magnitude behind a nonlinearity; None: no limit.", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("img_resolution", "lrelu_upsampling"):
            value = getattr(self, name)
            _require(value & (value - 1) == 0, self, name, "a power of two")
        _require(self.num_layers > self.num_critical, self, "num_layers", "above num_critical")
        _require(self.first_cutoff < self.img_resolution / 2, self, "first_cutoff", "below half the resolution")
        _require(self.first_stopband > self.first_cutoff, self, "first_stopband", "above first_cutoff")

    @property
    def num_ws(self) -> int:
        """Number of latents per image: one for the input and one for every layer, the last included."""
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


def _require(fulfilled: bool, settings: StyleGAN3Settings, name: str, wanted: str) -> None:
    if not fulfilled:
        raise BrownidError(f"StyleGAN3's {name} is {getattr(settings, name)!r}: it must be {wanted}.")


# At 256 x 256 the tenth layer's stopband is a power of two but for rounding: a hair must not double its rate.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Signal:
    """Signal between two layers."""

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

    def largest_activation(self, filter_size: int) -> int:
        """Numbers per image in the largest tensor, to within the trimming of filters of `filter_size` taps: the signal
        at the rate of the nonlinearity."""
        if self.to_colours:
            return self.incoming.channels * self.incoming.size**2
        side = self.outgoing.size * self.down + filter_size * (self.up + self.down)
        return self.outgoing.channels * side**2

    @property
    def name(self) -> str:
        """The published name of the layer: index, size and channels of what it puts out."""
        return f"L{self.index}_{self.outgoing.size}_{self.outgoing.channels}"

    @property
    def up(self) -> int:
        """Upsampling factor before the leaky ReLU, along one axis."""
        return self.inner_rate // self.incoming.rate

    @property
    def down(self) -> int:
        """Downsampling factor after the leaky ReLU, along one axis."""
        return self.inner_rate // self.outgoing.rate


def signals(settings: StyleGAN3Settings) -> list[Signal]:
    """Output signal of each layer, `num_layers + 1` of them; the input has the shape and band of the first."""
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
