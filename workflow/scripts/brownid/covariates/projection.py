"""Projection of photographs into the latent space of a generator, by gradient descent on the latent.

The schedule is that of the StyleGAN2 projector (Karras et al., "Analyzing and improving the image quality of StyleGAN",
2020, appendix D): Adam, a learning rate that rises and falls, noise added to the latent that fades out, and noise maps
that are optimised too where the generator has any.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brownid.covariates.features import Features
from brownid.covariates.optimization import LATENTS, LOSSES, LatentOptimization, Tensors, Watch
from brownid.covariates.settings import ProjectionSettings
from brownid.facemodel.model import GeneratorFaceModel
from brownid.jobs.iteration import State, in_chunks, iterate
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import Batching


@dataclass(frozen=True)
class Projection:
    """What came of each photograph. A failed one has a loss above the maximum, or a latent that is not finite."""

    latents: Tensor  # [n, D] in W, [n, L, D] in W+
    losses: Tensor  # [n], of the final latents and noise maps, without latent noise
    failed: Tensor  # [n], bool

    def columns(self, rows: Sequence[int]) -> dict[str, object]:
        """What a `SampleCollection` of these rows is made with.

        In W+ its column `w_plus_latent` `[n, L, D]` holds what was found, and `latents` `[n, D]` the mean over the
        layers: the latent in W that stands for it, on which covariates are fitted.
        """
        latents = self.latents[list(rows)]
        if latents.dim() == 2:
            return {"latents": latents}
        return {"latents": latents.mean(dim=1), "extra": {"w_plus_latent": latents}}


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

    found = in_chunks(len(targets), optimise, Batching(batch_size), state=state)
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
