"""The gradient descent of projection on one batch of images: Adam on latents and on StyleGAN2's noise maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.covariates.features import Features
from brownid.covariates.settings import ProjectionSettings
from brownid.facemodel.model import GeneratorFaceModel, needs_noise_key
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import adam
from brownid.runtime.randomness import NoiseKey, normal

COARSEST = 8  # pixels a side; smaller maps are not averaged further


def random_maps(shapes: Mapping[str, tuple[int, ...]], seed: int, items: Sequence[int]) -> dict[str, Tensor]:
    """Standard normal maps `[B, r, r]`, each of its item's own numbers."""
    return {name: normal(seed, f"projection/noise map {name}", items, shape) for name, shape in shapes.items()}


def autocorrelation(maps: Mapping[str, Tensor]) -> Tensor:
    """The penalty `[B]` on what is no noise: Σ (mean n·roll(n, 1))², over maps, both directions and resolutions.

    Each map `[B, r, r]` counts at its own resolution and at every half of it, by averaging 2×2, down to 8 pixels. The
    paper multiplies the averages by 2 to keep their variance; the published program does not, and nor do we, as the
    published weight 1e5 belongs to it.
    """
    penalties = []
    for noise in maps.values():
        while True:
            penalties += [(noise * noise.roll(1, dims=dim)).mean(dim=(1, 2)).square() for dim in (1, 2)]
            if noise.shape[-1] <= COARSEST:
                break
            noise = F.avg_pool2d(noise, 2)
    return torch.stack(penalties).sum(dim=0)


def renormalised(noise: Tensor) -> Tensor:
    """Maps `[B, r, r]` moved and scaled to zero mean and unit variance, each by itself."""
    centred = noise - noise.mean(dim=(1, 2), keepdim=True)
    return centred * centred.square().mean(dim=(1, 2), keepdim=True).rsqrt()


Tensors = dict[str, Tensor]
Watch = Callable[[int, Sequence[int], Tensor, Tensor], None]

LATENTS, MAP = "latents", "map/"  # names of what is optimised: the latents, and each noise map behind the prefix


class Moving(NamedTuple):
    """What is optimised, by name, with the moments that Adam has of each; replaced by every step and never changed."""

    values: Tensors  # latents [B, D] or [B, L, D], and map/<name> [B, r, r]
    first: Tensors  # running mean of the gradients
    second: Tensors  # running mean of their squares

    def flat(self, prefix: str) -> Tensors:
        """All tensors, by names for a file."""
        parts = self._asdict().items()
        return {f"{prefix}{part}/{name}": tensor for part, tensors in parts for name, tensor in tensors.items()}

    @classmethod
    def of_flat(cls, tensors: Mapping[str, Tensor], prefix: str, like: Tensor) -> Moving:
        """What `flat` gave, in the number format and on the device of `like`."""
        return cls(*(_behind(f"{prefix}{part}/", tensors, like) for part in cls._fields))


class Descent:
    """The descent of one batch, as a function from the tensors of one iteration to those of the next."""

    def __init__(
        self,
        model: GeneratorFaceModel,
        targets: Tensor,
        settings: ProjectionSettings,
        features: Features,
        *,
        latent_spread: float,
        seed: int,
        items: Sequence[int],
        watch: Watch | None = None,
    ) -> None:
        self.model, self.targets, self.settings, self.features = model, targets, settings, features
        self.spread, self.seed, self.items, self.watch = latent_spread, seed, items, watch
        with torch.no_grad():
            self.target_features = features(targets) if settings.feature_weight else None

    def start(self, latents: Tensor) -> Moving:
        """The tensors before the first iteration, from latents `[B, D]` or `[B, L, D]`."""
        values = {LATENTS: latents.detach().clone(memory_format=torch.contiguous_format)}
        if self.settings.noise_maps:
            drawn = random_maps(_noise_shapes(self.model), self.seed, self.items)
            values |= {f"{MAP}{name}": map_.to(latents) for name, map_ in drawn.items()}
        first, second = ({name: torch.zeros_like(value) for name, value in values.items()} for _ in range(2))
        return Moving(values, first, second)

    def step(self, before: Moving, iteration: int) -> Moving:
        """The tensors after an iteration, numbered from 0."""
        leaves = {name: value.detach().requires_grad_(True) for name, value in before.values.items()}
        latents, maps = leaves[LATENTS], _maps(leaves)
        losses, images = self.losses(latents + self._latent_noise(latents, iteration), maps, iteration)
        # a sum, not a mean: then each row's gradient is that of its own loss, whatever the batch
        total = losses.sum()
        if maps:
            total = total + self.settings.noise_weight * autocorrelation(maps).sum()
        gradients = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
        gradients[LATENTS] = gradients[LATENTS] + self._pull(latents.detach())
        rate = self.settings.rate_at(iteration)
        after = Moving({}, {}, {})
        for name, value in before.values.items():
            moments = (before.first[name], before.second[name])
            moved, after.first[name], after.second[name] = adam(value, gradients[name], moments, iteration, rate)
            after.values[name] = renormalised(moved) if name.startswith(MAP) else moved
        if self.watch is not None:
            self.watch(iteration, self.items, images.detach(), losses.detach())
        return after

    @torch.no_grad()
    def final_losses(self, after: Moving) -> Tensor:
        """The loss of each row `[B]`, on the CPU, without latent noise and penalties."""
        losses, images = self.losses(after.values[LATENTS], _maps(after.values), None)
        if self.watch is not None:
            self.watch(self.settings.iterations, self.items, images, losses)
        return losses.float().cpu()

    def losses(self, latents: Tensor, maps: Mapping[str, Tensor], iteration: int | None) -> tuple[Tensor, Tensor]:
        """The loss of each row, `[B]`, and the images it is of; `iteration` addresses the generator's own noise."""
        given: dict[str, object] = {"noise": maps} if maps else {}
        if needs_noise_key(self.model):
            given["noise_key"] = NoiseKey(self.seed, self.items, iteration)
        images = self.model.render(latents, **given).float()
        losses = images.new_zeros(len(images))
        if self.settings.pixel_weight:
            pixels = (images - self.targets).square().flatten(1).mean(dim=1)
            losses = losses + self.settings.pixel_weight * pixels
        if self.settings.feature_weight:
            distances = (self.features(images) - self.target_features).square().sum(dim=1)
            losses = losses + self.settings.feature_weight * distances
        return losses, images

    def _pull(self, latents: Tensor) -> Tensor:
        """The gradient of latent_weight · ‖w − w̄‖² / spread², averaged over the layers in W+."""
        layers = latents.shape[1] if latents.dim() == 3 else 1
        return 2 * self.settings.latent_weight / (layers * self.spread**2) * (latents - self.model.latent_mean)

    def _latent_noise(self, latents: Tensor, iteration: int) -> Tensor | float:
        amplitude = self.settings.noise_at(iteration, self.spread)
        if amplitude == 0:
            return 0.0
        shape = tuple(latents.shape[1:])
        return amplitude * normal(self.seed, "projection/latent noise", self.items, shape, iteration).to(latents)


def _noise_shapes(model: GeneratorFaceModel) -> dict[str, tuple[int, ...]]:
    """The shapes of the generator's noise maps, by name."""
    maps = model.generator.noise_maps()
    if not maps:
        raise BrownidError(
            f"projection: noise_maps is true, but the generator {type(model.generator).__name__} has none to optimise: "
            "set it to false."
        )
    return {name: tuple(map_.shape) for name, map_ in maps.items()}


def _maps(values: Mapping[str, Tensor]) -> Tensors:
    return _behind(MAP, values)


def _behind(prefix: str, tensors: Mapping[str, Tensor], like: Tensor | None = None) -> Tensors:
    """The tensors whose names begin with `prefix`, by the rest of the name."""
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return found if like is None else {name: tensor.to(like) for name, tensor in found.items()}
