"""Projection of photographs into the latent space of a generator, by gradient descent on the latent.

The schedule is that of the StyleGAN2 projector (Karras et al., "Analyzing and improving the image quality of StyleGAN",
2020, appendix D): Adam, the rate ramped up and down, noise added to the latent that fades out, and noise maps that are
optimised too where the generator has any.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from brownid.covariates.features import Features
from brownid.covariates.optimization import LATENTS, Descent, Moving, Watch
from brownid.covariates.settings import ProjectionSettings
from brownid.facemodel.model import GeneratorFaceModel
from brownid.jobs.resume import StateFile, terminable
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import Batching
from brownid.runtime.process import progress

_DONE, _LOSSES, _PLACE, _RUNNING = "done/latents", "done/losses", "place", "running/"  # in a state


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
    start: Tensor,  # [D] for all, or one latent an image: [n, D], [n, L, D]
    settings: ProjectionSettings,
    *,
    features: Features,
    seed: int,
    items: Sequence[int],  # [n] numbers that address each image's noise
    latent_spread: float,  # of the generator's latents: the unit of the noise and of the latent weight
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
    if not 0 < latent_spread < math.inf:
        raise BrownidError(f"The spread of the latents is {latent_spread}; it must be a positive number.")
    starts = start.expand(len(targets), -1) if start.dim() == 1 else start
    if settings.space == "w_plus" and starts.dim() == 2:
        starts = starts.unsqueeze(1).expand(-1, _layers(model), -1)

    def descent(rows: slice) -> Descent:
        batch = targets[rows].to(starts.device)
        shared = {"latent_spread": latent_spread, "seed": seed, "watch": watch}
        return Descent(model, batch, settings, features, items=items[rows], **shared)

    run = _Run(starts, settings.iterations, Batching(batch_size), state)
    latents, losses = run.all(descent)
    sound = latents.flatten(1).isfinite().all(dim=1).cpu() & (losses <= settings.limit)  # NaN <= x is false
    return Projection(latents, losses, ~sound)


def _layers(model: GeneratorFaceModel) -> int:
    """How many latents an image has in W+."""
    generator = model.generator
    if generator.layers == 1:
        raise BrownidError(
            f"projection: space is w_plus, but the generator {type(generator).__name__} takes one latent per image: "
            "use the space w."
        )
    return generator.layers


class _Place(NamedTuple):
    """How far a run is. It is replaced as a whole, so that an interruption finds it before a step or after it."""

    first: int  # images before this one are done
    stop: int  # end of the batch that is running
    iteration: int  # of that batch
    moving: Moving | None  # of that batch; None before it began


class _Run:
    """Batch after batch, with a state to go on from."""

    def __init__(self, starts: Tensor, iterations: int, batching: Batching, state: StateFile | None) -> None:
        self.starts, self.iterations, self.batching, self.state = starts, iterations, batching, state
        self.latents, self.losses = (
            torch.empty_like(starts, memory_format=torch.contiguous_format),
            torch.empty(len(starts)),
        )
        self.place = _Place(0, 0, 0, None)

    def all(self, descent: Callable[[slice], Descent]) -> tuple[Tensor, Tensor]:
        """Latents and losses of all images."""
        with terminable():
            try:
                self._load()
                while self.place.first < len(self.starts):
                    place = self.place
                    stop = place.stop if place.moving else min(place.first + self.batching.size, len(self.starts))
                    fitted = self.batching.attempt(
                        slice(place.first, stop), lambda rows: self._fit(descent(rows), rows)
                    )
                    first = stop if fitted else place.first  # what did not fit begins anew in smaller batches
                    self.place = _Place(first, first, 0, None)
            except BrownidError:
                raise
            except BaseException:
                self._save()
                raise
        return self.latents, self.losses

    def _next_rows(self) -> slice:
        """The batch to go on with, or the next one."""
        first, stop, _, moving = self.place
        return slice(first, stop if moving else min(first + self.batching.size, len(self.starts)))

    def _fit(self, descent: Descent, rows: slice) -> None:
        if self.place.moving is None:
            self.place = _Place(rows.start, rows.stop, 0, descent.start(self.starts[rows]))
        images = f"projection of images {rows.start + 1} to {rows.stop} of {len(self.starts)}"
        for iteration in progress(range(self.place.iteration, self.iterations), images):
            self.place = _Place(rows.start, rows.stop, iteration + 1, descent.step(self.place.moving, iteration))
            if self.state is not None and self.state.due(self._updates()):
                self._save()
        self.latents[rows] = self.place.moving.values[LATENTS]
        self.losses[rows] = descent.final_losses(self.place.moving)

    def _updates(self) -> int:
        """Updates of batches so far, as if every image were a batch: a number that only grows."""
        return self.place.first * self.iterations + self.place.iteration

    def _save(self) -> None:
        first, stop, iteration, moving = self.place
        if self.state is None or not (first or iteration):
            return
        done = {
            _DONE: self.latents[:first],
            _LOSSES: self.losses[:first],
            _PLACE: torch.tensor([first, stop, iteration]),
        }
        self.state.save(self._updates(), done | (moving.flat(_RUNNING) if moving else {}))

    def _load(self) -> None:
        saved = None if self.state is None else self.state.load()
        if saved is None:
            return
        first, stop, iteration = saved.tensors[_PLACE].tolist()
        self.latents[:first], self.losses[:first] = saved.tensors[_DONE].to(self.latents), saved.tensors[_LOSSES]
        moving = Moving.of_flat(saved.tensors, _RUNNING, self.latents)
        self.place = _Place(first, stop, iteration, moving if moving.values else None)
