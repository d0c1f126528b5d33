"""Sizes and bandwidths of the layers: Karras et al. 2021, section 3.2 ("flexible layer specifications") and figure 4.

From the input to the last layers the cutoff frequency grows geometrically, and so does the least frequency at which a
layer must have died down, its stopband. The sampling rate is the power of two that just holds the stopband; what room
it leaves goes into the transition band of the filters. Frequencies and rates are in cycles and samples over the width
of the image.
"""

from dataclasses import dataclass

import numpy as np

from brownid.generators.stylegan3.settings import StyleGAN3Settings

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
