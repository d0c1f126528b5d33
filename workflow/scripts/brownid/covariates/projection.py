"""Projection of photographs into the latent space of a generator, by gradient descent on the latent.

The schedule is that of the StyleGAN2 projector (Karras et al., "Analyzing and improving the image quality of StyleGAN",
2020, appendix D): Adam, a learning rate that rises and falls, noise added to the latent that fades out, and noise maps
that are optimised too where the generator has any.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.covariates.features import Features
from brownid.covariates.settings import ProjectionSettings
from brownid.facemodel.model import GeneratorFaceModel, needs_noise_key
from brownid.jobs.iteration import State, in_chunks, iterate
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import adam
from brownid.runtime.precision import Batching
from brownid.runtime.randomness import NoiseKey, normal
from brownid.samples.published import W_PLUS

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

LATENTS, MAP, LOSSES = "latents", "map/", "losses"  # names of tensors; that of a noise map is behind the prefix
MOMENTS = ("first/", "second/")  # before the name of what is optimised: running means of its gradient and its square


class LatentOptimization:
    """The optimisation of one batch, as a function from the tensors of one iteration to those of the next.

    Tensors by name: `latents` `[B, D]` or `[B, L, D]` and noise maps `map/NAME` `[B, r, r]`; Adam's moments of each,
    `first/…` and `second/…`; and the `losses` `[B]`, which an iteration after the last computes.
    """

    def __init__(
        self,
        model: GeneratorFaceModel,
        targets: Tensor,
        settings: ProjectionSettings,
        features: Features,
        *,
        latent_std: float,
        seed: int,
        items: Sequence[int],
        watch: Watch | None = None,
    ) -> None:
        self.model, self.targets, self.settings, self.features = model, targets, settings, features
        self.latent_std, self.seed, self.items, self.watch = latent_std, seed, items, watch
        with torch.no_grad():
            self.target_features = features(targets) if settings.feature_weight else None

    def start(self, latents: Tensor) -> Tensors:
        """The tensors before the first iteration, from latents `[B, D]` or `[B, L, D]`."""
        values = {LATENTS: latents.detach().clone(memory_format=torch.contiguous_format)}
        if self.settings.noise_maps:
            drawn = random_maps(_noise_shapes(self.model), self.seed, self.items)
            values |= {f"{MAP}{name}": map_.to(latents) for name, map_ in drawn.items()}
        moments = {moment + name: torch.zeros_like(value) for name, value in values.items() for moment in MOMENTS}
        return {**values, **moments, LOSSES: torch.zeros(len(latents), device=latents.device)}

    def step(self, before: Tensors, iteration: int) -> tuple[Tensors, dict[str, float]]:
        """The tensors after an iteration, numbered from 0, and no statistics."""
        if iteration == self.settings.iterations:
            return {**before, LOSSES: self._final_losses(before)}, {}
        optimised = [name for name in before if name == LATENTS or name.startswith(MAP)]
        leaves = {name: before[name].detach().requires_grad_(True) for name in optimised}
        latents, maps = leaves[LATENTS], _maps(leaves)
        losses, images = self.losses(latents + self._latent_noise(latents, iteration), maps, iteration)
        # a sum, not a mean: then each row's gradient is that of its own loss, whatever the batch
        total = losses.sum()
        if maps:
            total = total + self.settings.noise_weight * autocorrelation(maps).sum()
        gradients = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
        gradients[LATENTS] = gradients[LATENTS] + self._latent_term(latents.detach())
        rate = self.settings.rate_at(iteration)
        after = {LOSSES: before[LOSSES]}
        for name in optimised:
            names = (name, *(moment + name for moment in MOMENTS))
            value, first, second = (before[each] for each in names)
            after |= zip(names, adam(value, gradients[name], (first, second), iteration, rate), strict=True)
            if name.startswith(MAP):
                after[name] = renormalised(after[name])
        if self.watch is not None:
            self.watch(iteration, self.items, images.detach(), losses.detach())
        return after, {}

    @torch.no_grad()
    def _final_losses(self, after: Tensors) -> Tensor:
        """The loss of each row `[B]`, without latent noise and penalties."""
        losses, images = self.losses(after[LATENTS], _maps(after), None)
        if self.watch is not None:
            self.watch(self.settings.iterations, self.items, images, losses)
        return losses.float()

    def losses(self, latents: Tensor, maps: Mapping[str, Tensor], iteration: int | None) -> tuple[Tensor, Tensor]:
        """The loss of each row, `[B]`, and the images it is of; `iteration` addresses the generator's own noise."""
        given: dict[str, Any] = {"noise": maps} if maps else {}
        if needs_noise_key(self.model):
            given["noise_key"] = NoiseKey(self.seed, self.items, iteration)
        images = self.model.render(latents, **given).float()
        losses = images.new_zeros(len(images))
        if self.settings.pixel_weight:
            pixels = (images - self.targets).square().flatten(1).mean(dim=1)
            losses = losses + self.settings.pixel_weight * pixels
        if self.target_features is not None:
            distances = (self.features(images) - self.target_features).square().sum(dim=1)
            losses = losses + self.settings.feature_weight * distances
        return losses, images

    def _latent_term(self, latents: Tensor) -> Tensor:
        """The gradient of latent_weight · ‖w − w̄‖² / std², averaged over the layers in W+."""
        layers = latents.shape[1] if latents.dim() == 3 else 1
        return 2 * self.settings.latent_weight / (layers * self.latent_std**2) * (latents - self.model.latent_mean)

    def _latent_noise(self, latents: Tensor, iteration: int) -> Tensor | float:
        amplitude = self.settings.noise_at(iteration, self.latent_std)
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
    """The noise maps among the tensors, by the generator's names."""
    return {name.removeprefix(MAP): tensor for name, tensor in values.items() if name.startswith(MAP)}


@dataclass(frozen=True)
class Projection:
    """Result per photograph. A failed one has a loss above the maximum, or a latent that is not finite."""

    latents: Tensor  # [n, D] in W, [n, L, D] in W+
    losses: Tensor  # [n], of the final latents and noise maps, without latent noise
    failed: Tensor  # [n], bool

    def columns(self, rows: Sequence[int]) -> dict[str, Any]:
        """Columns of these rows for a `SampleCollection`.

        In W+ its column `w_plus_latent` `[n, L, D]` holds what was found, and `latents` `[n, D]` the mean over the
        layers: the latent in W that stands for it, on which covariates are fitted.
        """
        latents = self.latents[list(rows)]
        if latents.dim() == 2:
            return {"latents": latents}
        return {"latents": latents.mean(dim=1), "extra": {W_PLUS: latents}}


def project(
    model: GeneratorFaceModel,
    targets: Tensor,  # [n, 3, S, S] in [-1, 1], aligned as `model` renders
    start: Tensor,  # [D] for all, or one latent per image: [n, D], [n, L, D]
    settings: ProjectionSettings,
    *,
    features: Features,
    seed: int,
    items: Sequence[int],  # [n] numbers that address each image's noise
    latent_std: float,  # of the generator's latents: the unit of the noise and of the latent weight
    batch_size: int = 64,
    state: StateFile | None = None,
    watch: Watch | None = None,
) -> Projection:
    """The latents whose images are closest to `targets`.

    Loss of an image: feature_weight · ‖f(x) − f(target)‖² + pixel_weight · mean (x − target)²; the latent term and the
    penalty on noise maps come on top in the descent and are not part of the loss reported. Noise maps are dropped at
    the end: they keep the latent from explaining what only noise should. In the space `w_plus` every layer of the
    generator has a latent of its own, which begins as that of the start.

    Every image has its own Adam statistics and noise, so its result depends neither on the batch (smaller ones are
    taken where the memory runs out) nor on the other images. With a `state` an interrupted run goes on where it
    stopped, within a batch too, to the same bits at the same batch size. `watch` is told iteration, items, images
    and losses of each iteration, and at last those of the result.
    """
    if not len(targets) == len(items):
        raise BrownidError(f"{len(targets)} images cannot be projected under {len(items)} item numbers: one each.")
    if start.dim() > 1 and len(start) != len(targets):
        raise BrownidError(f"{len(targets)} images cannot start at {len(start)} latents: one each, or one for all.")
    if not 0 < latent_std < math.inf:
        raise BrownidError(f"latent_std is {latent_std}, but must be a positive number.")
    starts = start.expand(len(targets), -1) if start.dim() == 1 else start
    if settings.space == "w_plus" and starts.dim() == 2:
        starts = starts.unsqueeze(1).expand(-1, _layers(model), -1)

    def optimise(rows: slice, inner: State | None) -> Tensors:
        batch = targets[rows].to(starts.device)
        given = (model, batch, settings, features)
        optimisation = LatentOptimization(*given, items=items[rows], latent_std=latent_std, seed=seed, watch=watch)
        images = f"projection of images {rows.start + 1} to {rows.stop} of {len(targets)}"
        start, steps = optimisation.start(starts[rows]), settings.iterations + 1
        end, _ = iterate(optimisation.step, start, steps, description=images, state=inner)
        return {name: end[name] for name in (LATENTS, LOSSES)}

    batching = Batching(batch_size).limited(model)
    found = in_chunks(len(targets), optimise, batching, state=state)
    latents, losses = found.get(LATENTS, starts).to(starts), found.get(LOSSES, torch.empty(0))
    sound = latents.flatten(1).isfinite().all(dim=1).cpu() & (losses <= settings.limit)  # NaN <= x is false
    return Projection(latents, losses, ~sound)


def _layers(model: GeneratorFaceModel) -> int:
    """Number of latents per image in W+."""
    generator = model.generator
    if generator.layers == 1:
        raise BrownidError(
            f"projection: space is w_plus, but the generator {type(generator).__name__} takes one latent per image: "
            "use the space w."
        )
    return generator.layers
