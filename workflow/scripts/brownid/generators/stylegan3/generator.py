"""StyleGAN3 behind the generator protocol: Fourier features, modulated convolutions, filtered leaky ReLUs."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.generators.protocol import AverageFace, GeneratorDefaults
from brownid.generators.stylegan3.resampling import GAIN, Padding, filtered_leaky_relu, low_pass, radial_low_pass
from brownid.generators.stylegan3.settings import LayerPlan, Signal, StyleGAN3Settings, layer_plans
from brownid.runtime import randomness
from brownid.runtime.errors import BrownidError


class Dense(nn.Module):
    """`[B, in]` to `[B, out]`; stored weights have unit variance and are scaled when used (Karras et al. 2018).

    The parameters begin as zeros.
    """

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.weight_gain, self.bias_gain = lr_multiplier / math.sqrt(in_features), lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)


class MappingNetwork(nn.Module):
    """z `[B, Z]`, of any length other than 0, to w `[B, W]`: normalisation, then layers `fc0`, `fc1`... and `w_avg`."""

    w_avg: Tensor  # [W]

    def __init__(self, z_dim: int, w_dim: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.layers = layers
        for index in range(layers):
            self.add_module(f"fc{index}", Dense(z_dim if index == 0 else w_dim, w_dim, lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for index in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{index}")(x), 0.2) * math.sqrt(2)
        return x


class SynthesisInput(nn.Module):
    """w `[B, W]` to the first signal `[B, C, N, N]`: waves of fixed frequency and phase, mixed by `weight`.

    From w comes a pose (cos, sin, x, y), of which the first two are normalised. The buffer `transform` `[3, 3]` is the
    user's own: where a pixel (x, y, 1) of the image reads from, so the inverse of what the image is to do; waves that
    it makes finer than the sampling rate holds fade out. `pose` `[4]`, where it is not None, replaces what w says; it
    is not part of the state. Parameters and waves begin as zeros.
    """

    transform: Tensor
    freqs: Tensor  # [C, 2], cycles over the width of the image
    phases: Tensor  # [C], turns
    pose: Tensor | None

    def __init__(self, w_dim: int, signal: Signal) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = signal.size, signal.rate, signal.cutoff
        self.weight = nn.Parameter(torch.zeros(signal.channels, signal.channels))
        self.affine = Dense(w_dim, 4)
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", torch.zeros(signal.channels, 2))
        self.register_buffer("phases", torch.zeros(signal.channels))
        self.register_buffer("pose", None, persistent=False)

    def forward(self, w: Tensor) -> Tensor:
        matrix = self.reading_positions(w)  # [B, 2, 3]
        freqs = self.freqs @ matrix[:, :, :2]  # [B, C, 2]
        phases = self.phases + (self.freqs @ matrix[:, :, 2:]).squeeze(2)  # [B, C]
        fading = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        amplitudes = (1 - fading).clamp(0, 1)  # [B, C]
        centres = (torch.arange(self.size, device=w.device, dtype=w.dtype) + 0.5 - self.size / 2) / self.rate
        along_x = centres[:, None] * freqs[:, None, :, 0]  # [B, N, C], turns
        along_y = centres[:, None] * freqs[:, None, :, 1] + phases[:, None]
        waves = torch.sin(2 * math.pi * (along_y[:, :, None] + along_x[:, None])) * amplitudes[:, None, None]
        mixed = waves @ (self.weight / math.sqrt(len(self.weight))).T  # [B, N, N, C]
        return mixed.permute(0, 3, 1, 2)

    def pose_of(self, w: Tensor) -> Tensor:
        """(cos, sin, x, y) `[B, 4]`, as predicted from w; the translation is in widths of the image."""
        pose = self.affine(w)
        return pose / pose[:, :2].norm(dim=1, keepdim=True)

    def reading_positions(self, w: Tensor) -> Tensor:
        """The affine map `[B, 2, 3]` from a position in the image to one in the field of waves."""
        pose = self.pose_of(w) if self.pose is None else self.pose.expand(len(w), 4)
        cosine, sine, x, y = pose.unbind(dim=1)
        rotation = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
        shift = rotation @ torch.stack([-x, -y], dim=1).unsqueeze(2)  # translated first, then rotated
        return torch.cat([rotation, shift], dim=2) @ self.transform


class SynthesisLayer(nn.Module):
    """One signal and w `[B, W]` to the next signal: modulated convolution, bias, filtered leaky ReLU.

    `magnitude_ema` is the mean square of the input as training has seen it. The last layer, which makes colours, has
    neither demodulation nor a nonlinearity. Signals keep the number format they come in; styles and demodulation have
    that of the parameters, which begin as zeros.
    """

    magnitude_ema: Tensor  # []
    up_filter: Tensor  # these two are None in the last layer, which uses neither
    down_filter: Tensor

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
        """Factor to unit length of each output channel's weights, `[B, out]` (Karras et al. 2020, eq. 3).

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
    """Padding before and after the zero-stuffed signal that gives `outgoing.size` samples about the centre.

    Samples sit in the middle of their cells, so the upsampled grid starts half a fine cell less half a coarse one
    before the coarse one (appendix C.3); hence the `up` in the first half.
    """
    if plan.to_colours:
        return 0, 0
    wanted = (plan.outgoing.size - 1) * plan.down + 1 + (up_taps - 1) + (down_taps - 1)
    total = wanted - (plan.incoming.size + plan.kernel - 1) * plan.up
    before = (total + plan.up) // 2
    return before, total - before


MEAN_DRAWS = 4096  # of a random network's mean latent


class StyleGAN3(GeneratorDefaults, nn.Module):
    """The generator of "Alias-Free Generative Adversarial Networks" (Karras et al. 2021), configs T and R.

    Names and shapes of parameters and buffers are those of the published networks, so `load_state_dict` is strict.
    Parameters are constants: gradients are formed for latents alone. They begin as zeros, so load some, or see
    `random_stylegan3`. There are no noise maps; an image depends on its latent alone.

    `compute_dtype` is the number format of the signals (None: that of the parameters); the input's waves, styles and
    demodulation keep that of the parameters. In float32 the images are those of the published code with `force_fp32`.

    `landmarks` are those of an average face, FFHQ's unless others are set as `AverageFace` says. Networks of FFHQ put
    frontal faces in nearly one place. FFHQ-U is not aligned: faces are only roughly centred, upright and of one size,
    and move with the latent. For these networks the default is a first guess; measure rendered images, set what you
    find as `landmarks`, and `anchor()` the generator before a fixed crop, or detect landmarks in every image.
    """

    compiles = False  # the filtered nonlinearity branches on the values of its input

    def __init__(self, settings: StyleGAN3Settings, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.settings, self.compute_dtype = settings, compute_dtype
        self.layers = settings.num_ws
        self.largest_activation = max(plan.largest_activation(settings.filter_size) for plan in layer_plans(settings))
        self.latent_dim, self.resolution = settings.w_dim, settings.img_resolution
        self.landmarks = AverageFace().points(self.resolution)
        self.mapping = MappingNetwork(
            settings.z_dim, settings.w_dim, settings.mapping_layers, settings.mapping_lr_multiplier
        )
        self.synthesis = SynthesisNetwork(settings)
        self.requires_grad_(False).eval()

    @property
    def latent_mean(self) -> Tensor:
        """The mean `[W]` of mapped latents."""
        return self.mapping.w_avg

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, Z]` to latents `[B, W]`, pulled to `latent_mean` by `truncation` (1: not at all)."""
        if z.ndim != 2 or z.shape[1] != self.settings.z_dim:
            raise BrownidError(
                f"StyleGAN3 maps random vectors of shape [batch, {self.settings.z_dim}], but got {list(z.shape)}."
            )
        with self._no_autocast():
            latents = self.mapping(z.to(self.latent_mean))
        return latents if truncation == 1 else torch.lerp(self.latent_mean, latents, truncation)

    def render(self, latents: Tensor) -> Tensor:
        """RGB images `[B, 3, H, W]`, nominally in [-1, 1], of latents; differentiable once in them.

        Latents are `[B, W]`, or `[B, layers, W]` in W+: the first for the input's pose, the others layer by layer.
        """
        if latents.ndim == 2:
            latents = latents.unsqueeze(1).expand(-1, self.layers, -1)
        if latents.shape[1:] != (self.layers, self.latent_dim):
            raise BrownidError(
                f"StyleGAN3 renders latents of shape [batch, {self.latent_dim}] or "
                f"[batch, {self.layers}, {self.latent_dim}], but got {list(latents.shape)}."
            )
        with self._no_autocast():
            return self.synthesis(latents.to(self.latent_mean), self.compute_dtype or self.latent_mean.dtype)

    def anchor(self, latent: Tensor | None = None) -> "StyleGAN3":
        """Keep the face in one place: every image gets the pose that the network predicts for one latent.

        The first thing that w decides is a rotation and a translation in the image plane. Here these are computed once,
        from `latent` (`[W]`, or `[layers, W]`; by default the mean latent), and held, whatever is rendered later; the
        rest of w acts as before, turns of the head included. With the mean latent the faces of a network trained on
        unaligned images come out roughly aligned (Alaluf et al. 2022, "Third Time's the Charm?"), so that a fixed crop
        fits them, and latents that are moved or projected cannot shift the face instead of changing it. The state
        dictionary is not touched, and loading one does not move the anchor; `release()` lets go. Returns self.
        """
        latent = self.latent_mean if latent is None else latent
        if latent.shape not in {(self.latent_dim,), (self.layers, self.latent_dim)}:
            raise BrownidError(
                f"StyleGAN3 is anchored with one latent, [{self.latent_dim}] or [{self.layers}, {self.latent_dim}], "
                f"but got {list(latent.shape)}."
            )
        with torch.no_grad():
            first = latent.reshape(-1, self.latent_dim)[:1].to(self.latent_mean)
            self.synthesis.input.pose = self.synthesis.input.pose_of(first)[0]
        return self

    def release(self) -> "StyleGAN3":
        """Undo `anchor`: the pose comes from each latent again. Returns self."""
        self.synthesis.input.pose = None
        return self

    def _no_autocast(self) -> torch.autocast:
        """The number format of every step is chosen here; waves in bfloat16 would have no positions."""
        return torch.autocast(self.latent_mean.device.type, enabled=False)


def random_stylegan3(settings: StyleGAN3Settings, seed: int = 0) -> StyleGAN3:
    """A generator with the weights that training starts from: no faces, but everything works.

    Other than at the start of training, the pose depends on w (by about 0.1), and `w_avg` is the mean of mapped
    latents. The same seed gives the same weights, whatever else draws random numbers.
    """
    generator = StyleGAN3(settings)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(randomness.normal(seed, f"stylegan3/{name}", [0], tuple(parameter.shape))[0])
            else:
                parameter.fill_(1.0 if name.endswith("affine.bias") else 0.0)
        for index in range(settings.mapping_layers):
            cast(Dense, generator.mapping.get_submodule(f"fc{index}")).weight.div_(settings.mapping_lr_multiplier)
        waves = generator.synthesis.input
        waves.affine.weight.mul_(0.1)
        waves.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        waves.freqs.copy_(_frequencies(len(waves.freqs), waves.bandwidth, seed))
        waves.phases.copy_(randomness.uniform(seed, "stylegan3/phases", [0], (len(waves.phases),))[0] - 0.5)
        z = randomness.normal(seed, "stylegan3/w_avg", [0], (MEAN_DRAWS, settings.z_dim))[0]
        generator.mapping.w_avg.copy_(generator.mapping(z).mean(dim=0))
    return generator


def _frequencies(count: int, bandwidth: float, seed: int) -> Tensor:
    """Frequencies `[count, 2]`, uniform in the disc of radius `bandwidth`."""
    uniform = randomness.uniform(seed, "stylegan3/freqs", [0], (2, count))[0]
    radius, angle = bandwidth * uniform[0].sqrt(), 2 * torch.pi * uniform[1]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
