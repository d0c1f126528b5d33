"""StyleGAN2 behind the generator protocol, with its noise maps.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020; parameters have the
names of the published weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from brownid.generators.protocol import AverageFace, GeneratorDefaults
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan2.synthesis import Linear, MappingNetwork, Synthesis
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal

if TYPE_CHECKING:
    from brownid.runtime.randomness import NoiseKey

MODES = ("off", "fixed", "item", "random")
DRAWN = ("item", "random")  # the modes whose maps depend on the item


def check_mode(mode: str) -> str:
    """`mode`, if there is such a one."""
    if mode not in MODES:
        raise BrownidError(f"The noise of a StyleGAN2 generator is one of {', '.join(MODES)}, not {mode!r}.")
    return mode


def choose_maps(
    mode: str,
    stored: Mapping[str, Tensor],
    noise_key: NoiseKey | None,
    batch: int,
    given: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The maps that `mode` gives a batch, each `[r, r]` or `[B, 1, r, r]`, by the names of the `stored` maps `[r, r]`;
    those that are `given` replace them.

    `item` draws maps that belong to an item and stay as they are; `random` draws others in every iteration.
    """
    return dict(given) if stored.keys() <= given.keys() else _maps_of(mode, stored, noise_key, batch) | dict(given)


def _maps_of(mode: str, stored: Mapping[str, Tensor], noise_key: NoiseKey | None, batch: int) -> dict[str, Tensor]:
    if mode == "off":
        return {}
    if mode == "fixed":
        return dict(stored)
    if noise_key is None:
        raise BrownidError(
            f"The generator's noise is {mode!r}, so that its maps depend on the item: give a noise key "
            "(seed, items, iteration), or set the noise to 'off' or 'fixed'."
        )
    if len(noise_key.items) != batch:
        raise BrownidError(f"The noise key has {len(noise_key.items)} items for a batch of {batch} latents.")
    if mode == "item":
        noise_key = noise_key._replace(iteration=None)
    sizes, like = [map_.numel() for map_ in stored.values()], next(iter(stored.values()))
    parts = noise_key.normal("generator/noise", (sum(sizes),), like.device).to(like).split(sizes, dim=1)
    return {name: part.unflatten(1, (1, *stored[name].shape)) for name, part in zip(stored, parts, strict=True)}


def check_maps(given: Mapping[str, Tensor], stored: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
    """The `given` maps, `[r, r]` for the whole batch or `[B, r, r]`, as maps that broadcast to `[B, 1, r, r]`."""
    for name, map_ in given.items():
        if name not in stored:
            raise BrownidError(f"The generator has no noise map {name!r}: use some of {', '.join(stored)}.")
        side = tuple(stored[name].shape)
        if tuple(map_.shape) not in (side, (batch, *side)):
            raise BrownidError(
                f"The noise map {name!r} has the shape {list(map_.shape)}: it must be {list(side)} for all pictures, "
                f"or {[batch, *side]} for one each."
            )
    return {name: map_.unsqueeze(-3) for name, map_ in given.items()}


if TYPE_CHECKING:
    from brownid.runtime.randomness import NoiseKey

_MEAN_SAMPLES = 4096  # mapped vectors in the mean latent of a random generator


class StyleGAN2(GeneratorDefaults, nn.Module):
    """A StyleGAN2 generator whose state dict has the names and shapes of NVIDIA's `Generator`.

    Parameters are constants: gradients are formed for latents and given noise maps alone. They begin as zeros, so load
    a state dict (`strict=True`), or see `random_stylegan2`.

    `noise` is "off", "fixed" (the maps of the file), "item" or "random" (maps drawn for each item, or for each item and
    iteration; `render` then needs a noise key). `compute_dtype` is the number format of the activations (None: that of
    the parameters); styles, demodulation and the sum of the RGB layers keep that of the parameters. bfloat16 pays with
    `channels_last` only. `landmarks` of an average face are FFHQ's; set others as `AverageFace` says.
    """

    def __init__(
        self,
        settings: StyleGAN2Settings,
        *,
        noise: str = "off",
        compute_dtype: torch.dtype | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.noise = check_mode(noise)
        self.needs_noise_key = noise in DRAWN
        self.layers = settings.layers
        self.largest_activation = settings.largest_activation
        self.compute_dtype = compute_dtype
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        s = settings
        width, label_width = s.mapping_width or s.w_dim, s.label_width or s.w_dim
        self.mapping = MappingNetwork(s.z_dim, s.c_dim, s.w_dim, s.mapping_layers, width, label_width, s.mapping_rate)
        self.synthesis = Synthesis(settings)
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]  # torch's types do not know it
        self.landmarks = AverageFace().points(self.resolution)
        self.requires_grad_(False).eval()

    @property
    def latent_dim(self) -> int:
        """Components D of a latent in W."""
        return self.settings.w_dim

    @property
    def latent_mean(self) -> Tensor:
        """The mean latent `[D]`."""
        return self.mapping.w_avg

    @property
    def resolution(self) -> int:
        """Height and width of an image, pixels."""
        return self.settings.resolution

    def map(
        self, z: Tensor, truncation: float = 1.0, *, cutoff: int | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Standard normal `[B, Z]` to latents `[B, D]`, pulled to `latent_mean` by `truncation` (1: not at all).

        With a `cutoff` only the first layers are pulled, and the result is in W+, `[B, L, D]`. A generator that was
        trained with labels needs `labels` `[B, C]`.
        """
        self._check_map_input(z, labels)
        with self._full_precision():
            w = self.mapping(z.to(self.latent_mean), None if labels is None else labels.to(self.latent_mean))
            pulled = torch.lerp(self.latent_mean, w, truncation) if truncation != 1 else w
        if cutoff is None:
            return pulled
        layers = torch.arange(self.settings.layers, device=w.device).view(1, -1, 1)
        return torch.where(layers < cutoff, pulled.unsqueeze(1), w.unsqueeze(1))

    def render(
        self, latents: Tensor, noise_key: NoiseKey | None = None, *, noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """RGB images `[B, 3, R, R]` of latents in W `[B, D]` or W+ `[B, L, D]`; differentiable in latents and noise.

        Values lie in [-1, 1] but for small excesses, which are left as they are: cutting them would stop the gradient.
        `noise` replaces the maps of the generator's noise mode (see `noise_maps`), each `[r, r]` or `[B, r, r]`.
        """
        w_plus = self._in_w_plus(latents).to(self.latent_mean)
        stored = self._stored_maps()
        given = check_maps(noise or {}, stored, len(latents))
        maps = choose_maps(self.noise, stored, noise_key, len(latents), given)
        dtype = self.compute_dtype or self.latent_mean.dtype
        with self._full_precision():
            return self.synthesis(w_plus, maps, dtype, self.memory_format)

    def noise_maps(self) -> dict[str, Tensor]:
        """A copy of the file's noise maps `[r, r]` by layer ("b8.conv0"), to optimise and to hand to `render`."""
        return {name: map_.clone() for name, map_ in self._stored_maps().items()}

    def _stored_maps(self) -> dict[str, Tensor]:
        return {name: layer.noise_const for name, layer in self.synthesis.noisy_layers().items()}

    def _full_precision(self) -> torch.autocast:
        """No autocast: the number format of every step is chosen here."""
        return torch.autocast(self.latent_mean.device.type, enabled=False)

    def _in_w_plus(self, latents: Tensor) -> Tensor:
        layers, dim = self.settings.layers, self.latent_dim
        if latents.ndim == 2 and latents.shape[1] == dim:
            return latents.unsqueeze(1).expand(-1, layers, -1)
        if latents.ndim == 3 and tuple(latents.shape[1:]) == (layers, dim):
            return latents
        raise BrownidError(
            f"Latents of the shape {list(latents.shape)} do not fit this StyleGAN2 generator: "
            f"it takes [batch, {dim}] or [batch, {layers}, {dim}]."
        )

    def _check_map_input(self, z: Tensor, labels: Tensor | None) -> None:
        s = self.settings
        if z.ndim != 2 or z.shape[1] != s.z_dim:
            raise BrownidError(f"This StyleGAN2 generator maps vectors [batch, {s.z_dim}], not {list(z.shape)}.")
        if (labels is None) != (s.c_dim == 0):
            needs = f"needs labels of {s.c_dim} numbers: give `labels`" if s.c_dim else "takes no labels"
            raise BrownidError(f"This StyleGAN2 generator {needs}.")
        if labels is not None and tuple(labels.shape) != (len(z), s.c_dim):
            raise BrownidError(f"The labels have the shape {list(labels.shape)}, not {[len(z), s.c_dim]}.")


def random_stylegan2(
    settings: StyleGAN2Settings,
    seed: int,
    *,
    noise: str = "off",
    compute_dtype: torch.dtype | None = None,
    channels_last: bool = False,
) -> StyleGAN2:
    """A generator as it is at the start of training, each parameter drawn from (seed, its name).

    Its mean latent is estimated from mapped vectors. Its noise strengths are 0: noise has no effect before training.
    """
    generator = StyleGAN2(settings, noise=noise, compute_dtype=compute_dtype, channels_last=channels_last)
    rates = {f"{name}.weight": m.bias_gain for name, m in generator.named_modules() if isinstance(m, Linear)}
    for name, tensor in generator.state_dict().items():  # these share their memory with the generator
        if name.endswith((".weight", ".const", ".noise_const")):
            drawn = normal(seed, f"stylegan2/{name}", [0], tuple(tensor.shape))[0]
            tensor.copy_(drawn / rates.get(name, 1.0))
        elif name.endswith(".affine.bias"):
            tensor.fill_(1.0)
    z = normal(seed, "stylegan2/mean latent", [0], (_MEAN_SAMPLES, settings.z_dim))[0]
    labels = torch.zeros(len(z), settings.c_dim) if settings.c_dim else None
    generator.mapping.w_avg.copy_(generator.map(z, labels=labels).mean(dim=0))
    return generator
