"""From latents to the image: modulated convolutions, each followed by a filtered leaky ReLU."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.generators.stylegan3.dense import Dense
from brownid.generators.stylegan3.filters import low_pass, radial_low_pass
from brownid.generators.stylegan3.fourier import SynthesisInput
from brownid.generators.stylegan3.nonlinearity import GAIN, filtered_leaky_relu
from brownid.generators.stylegan3.resampling import Padding
from brownid.generators.stylegan3.schedule import LayerPlan, layer_plans
from brownid.generators.stylegan3.settings import StyleGAN3Settings


class SynthesisLayer(nn.Module):
    """One signal and w `[B, W]` to the next signal: modulated convolution, bias, filtered leaky ReLU.

    `magnitude_ema` is the mean square of the input as training has seen it. The last layer, which makes colours, has
    neither demodulation nor a nonlinearity. Signals keep the number format they come in; styles and demodulation have
    that of the parameters, which begin as zeros.
    """

    def __init__(self, w_dim: int, plan: LayerPlan, settings: StyleGAN3Settings) -> None:
        super().__init__()
        self.plan, self.limit = plan, settings.conv_clamp
        before, after = plan.incoming, plan.outgoing
        self.affine = Dense(w_dim, before.channels)
        self.weight = nn.Parameter(torch.zeros(after.channels, before.channels, plan.kernel, plan.kernel))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        up_taps, down_taps = settings.filter_size * plan.up, settings.filter_size * plan.down
        if plan.to_colours:
            up_filter = down_filter = None
        else:
            design_down = radial_low_pass if plan.radial_down_filter else low_pass
            up_filter = low_pass(up_taps, before.cutoff, 2 * before.half_width, plan.inner_rate)
            down_filter = design_down(down_taps, after.cutoff, 2 * after.half_width, plan.inner_rate)
        self.register_buffer("up_filter", up_filter)
        self.register_buffer("down_filter", down_filter)
        self.padding = _padding(plan, up_taps, down_taps)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w)  # [B, in]
        if self.plan.to_colours:
            x = self._convolved(x, styles / math.sqrt(self.weight[0].numel())).to(w.dtype)
            x = x + self.bias[:, None, None]
            return x if self.limit is None else x.clamp(-self.limit, self.limit)
        # A common factor of a sample's styles cancels in the demodulation, so the published normalisation over the
        # batch serves the range of half precision alone; over each sample it does the same, and no image depends on
        # its neighbours.
        styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
        demodulation = (self._demodulation(styles) * GAIN).to(x.dtype)
        bias = (self.bias * GAIN).to(x.dtype)
        x = torch.addcmul(bias[:, None, None], self._convolved(x, styles), demodulation[:, :, None, None])
        plan = self.plan
        return filtered_leaky_relu(x, self.up_filter, self.down_filter, plan.up, plan.down, self.padding, self.limit)

    def _convolved(self, x: Tensor, styles: Tensor) -> Tensor:
        """The signal scaled by the styles, then convolved: the same as weights of its own for every sample."""
        scale = (styles * self.magnitude_ema.rsqrt()).to(x.dtype)
        return F.conv2d(x * scale[:, :, None, None], self.weight.to(x.dtype), padding=self.plan.kernel - 1)

    def _demodulation(self, styles: Tensor) -> Tensor:
        """What makes each output channel's modulated weights of unit length, `[B, out]` (Karras et al. 2020, eq. 3).

        The weights are meant with mean square 1 over each output channel; that factor is included.
        """
        energy = self.weight.square().sum(dim=(2, 3))  # [out, in]
        normalisation = (energy.sum(dim=1) / self.weight[0].numel()).rsqrt()  # [out]
        lengths = F.linear(styles.square(), energy * normalisation.square()[:, None])  # squared
        return normalisation * (lengths + 1e-8).rsqrt()


class SynthesisNetwork(nn.Module):
    """Latents `[B, num_ws, W]`, one for the input and one for each layer, to images `[B, 3, H, W]`, nominally [-1, 1].

    The published code computes the finer layers in half precision unless `force_fp32` is given; in float32 this is its
    result with it.
    """

    def __init__(self, settings: StyleGAN3Settings) -> None:
        super().__init__()
        plans = layer_plans(settings)
        self.output_scale = settings.output_scale
        self.input = SynthesisInput(settings.w_dim, plans[0].incoming)
        self.layer_names = [plan.name for plan in plans]
        for plan in plans:
            self.add_module(plan.name, SynthesisLayer(settings.w_dim, plan, settings))

    def forward(self, latents: Tensor, compute_dtype: torch.dtype) -> Tensor:
        """Signals between the layers have `compute_dtype`, the images that of the parameters."""
        first, *others = latents.unbind(dim=1)
        x = self.input(first).to(compute_dtype)  # channels last in memory: filters run up to twice as fast on a CPU
        if x.device.type != "cpu":
            x = x.contiguous()
        for name, w in zip(self.layer_names, others, strict=True):
            x = self.get_submodule(name)(x, w)
        return (x * self.output_scale).contiguous()


def _padding(plan: LayerPlan, up_taps: int, down_taps: int) -> Padding:
    """What to add before and after the zero-stuffed signal, so that out come `outgoing.size` samples about the centre.

    Samples sit in the middle of their cells, so the upsampled grid starts half a fine cell less half a coarse one
    before the coarse one (appendix C.3); hence the `up` in the first half.
    """
    if plan.to_colours:
        return 0, 0
    wanted = (plan.outgoing.size - 1) * plan.down + 1 + (up_taps - 1) + (down_taps - 1)
    total = wanted - (plan.incoming.size + plan.kernel - 1) * plan.up
    before = (total + plan.up) // 2
    return before, total - before
