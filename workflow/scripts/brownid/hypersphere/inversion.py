"""Images from embeddings: latents of a generator whose faces have given embeddings, by gradient descent.

For each target x, the latent w with the smallest d(F(A(G(w))), x)² + λ ‖w − w̄‖² / spread², where d is the angle in
radians. The second term keeps what the embedding says little about near the mean latent, where faces look like faces.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from brownid.adam import adam
from brownid.dynamics.checks import check_matrix
from brownid.dynamics.passes import BatchedFaceModel
from brownid.dynamics.potentials import angles_to, attraction_gradient
from brownid.dynamics.processes import gather, own_rows
from brownid.dynamics.run import Tensors, iterate
from brownid.dynamics.share import SINGLE, ProcessGroup
from brownid.dynamics.statistics import as_arrays, spread
from brownid.errors import BrownidError
from brownid.hypersphere.settings import LatentOptimizationSettings
from brownid.recognition.facemodel import FaceModel
from brownid.resuming import StateFile
from brownid.runtime import logger

STATISTICS = (
    *("angle_min", "angle_avg", "angle_max", "wavg_min", "wavg_avg", "wavg_max"),
    *("loss_avg", "learning_rate", "identities"),
)


@dataclass(frozen=True)
class Inversion:
    """What was found. `statistics[name][t]` describes iteration t before its update, over all attempts."""

    latents: Tensor  # [n, D], of the best attempt of each identity
    embeddings: Tensor  # [n, E], computed from these latents
    angles: Tensor  # [n], radians between the embedding reached and the target
    attempts: Tensor  # [n], int64: which attempt it was
    statistics: dict[str, np.ndarray]  # name -> [iterations], float64


def invert(
    model: FaceModel,
    targets: Tensor,
    starts: Tensor,
    settings: LatentOptimizationSettings,
    *,
    seed: int,
    items: Sequence[int] | None = None,
    latent_spread: float | None = None,
    batch_size: int = 64,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE,
) -> Inversion:
    """The latents whose embeddings point at `targets`; the element type and device of the starts are kept.

    Every row has its own loss and its own Adam statistics, so that its result depends neither on the other rows and
    their order nor on batch size and processes. The result is what the last update leaves, embedded again.

    Args:
        model: the face model; `embed` is called on at most `batch_size` latents at a time, on fewer where the memory
            runs out.
        targets: x `[n,E]`, of any length but zero.
        starts: `[n,D]`, or several attempts of each identity `[n,attempts,D]`.
        seed: of the generator's own noise maps, if it has any, which the items address.
        items: item numbers of the n rows (identities, or `randomness.image_items`), default 0 … n−1.
        latent_spread: root mean square distance of the generator's latents from their mean, the unit of the latent
            term; needed where `settings.latent_weight` is not 0.
        state: where to keep what an interrupted run goes on from.
        group: the processes that share the work; all call this with the same arguments and get the same result.

    Returns:
        Latents, embeddings, angles, and statistics: `angle_*` to the target (radians), `wavg_*` distance to the mean
        latent, `loss_avg`, `learning_rate`, and `identities`, the number
        of rows: attempts of all identities.

    Raises:
        BrownidError: wrong shapes or values; an embedding or gradient that is not finite; a state of other settings.
    """
    mean = model.latent_mean.to(starts)
    attempts = starts[:, None] if starts.dim() == 2 else starts
    check_matrix("starts", attempts, (None, None, len(mean)))
    check_targets(targets)
    count, tries = attempts.shape[:2]
    if len(targets) != count:
        raise BrownidError(f"{len(targets)} targets cannot be reached from {count} starts: give a start for each.")
    items = list(range(count)) if items is None else [int(item) for item in items]
    if len(items) != count:
        raise BrownidError(f"There are {len(items)} item numbers for {count} targets; give one for each.")
    if settings.latent_weight and not (latent_spread is not None and 0 < latent_spread < math.inf):
        raise BrownidError(
            f"latent_weight is {settings.latent_weight}, but the spread of the latents, its unit, is {latent_spread}; "
            "give a positive number."
        )
    if group.size > count * tries:
        raise BrownidError(f"{group.size} processes cannot share {count * tries} latents; take fewer processes.")
    if state is not None:
        # who is left out in the end does not matter to the descent
        state = state.with_settings(
            algorithm="inversion",
            settings=asdict(replace(settings, maximum_angle=None)),
            latent_spread=latent_spread,
            seed=seed,
            items=items,
        )
    owners = torch.arange(count, device=starts.device).repeat_interleave(tries)
    pull = 2 * settings.latent_weight / latent_spread**2 if settings.latent_weight else 0.0
    rows = own_rows(group, len(owners))
    descent = _Descent(
        *(BatchedFaceModel(model, batch_size, seed), settings, group, mean, pull, targets.to(starts)[owners], rows),
        items=[item for item in items for _ in range(tries)],
    )
    first = attempts.detach().flatten(0, 1).clone(memory_format=torch.contiguous_format)
    end, records = iterate(
        partial(_iterate, descent),
        {"latents": first, "first moments": torch.zeros_like(first), "second moments": torch.zeros_like(first)},
        settings.iterations,
        STATISTICS,
        description="inversion",
        given={"targets": targets, "starting latents": first},
        state=state,
        group=group,
    )
    own = descent.batched.embed(end["latents"][rows], descent.items[rows])
    embeddings = descent.checked(own, "embedding", settings.iterations)
    angles, best = angles_to(embeddings, descent.targets).view(count, tries).min(dim=1)
    kept = best + tries * torch.arange(count, device=best.device)
    return Inversion(end["latents"][kept], embeddings[kept], angles, best, as_arrays(records, STATISTICS))


def check_targets(targets: Tensor) -> None:
    """Refuse target embeddings `[n,E]` that give no direction: not finite, or zero."""
    check_matrix("targets", targets, (None, None))
    zero = (torch.linalg.vector_norm(targets, dim=1) == 0).nonzero()
    if len(zero):
        raise BrownidError(
            f"The target embedding in row {int(zero[0])} is zero, which is no direction; mend or leave out that row."
        )


def reached(angles: Tensor, settings: LatentOptimizationSettings, items: Sequence[object]) -> list[int]:
    """The rows whose angle to the target is at most `settings.maximum_angle`; a warning counts the others and names the
    worst of the `items`, which are numbers or names of the rows.

    Raises BrownidError where there is none.
    """
    limit = math.inf if settings.maximum_angle is None else settings.maximum_angle
    rows = (angles <= limit).nonzero()[:, 0].tolist()
    if not rows:
        raise BrownidError(
            f"None of {len(angles)} embeddings was reached within maximum_angle {limit:.3f}: the smallest angle is "
            f"{float(angles.min()):.3f} radians. Raise maximum_angle or iterations, change learning_rate, or lower "
            "latent_weight."
        )
    if len(rows) < len(angles):
        worst = int(angles.argmax())
        logger.warning(
            "%d of %d embeddings, not reached within %.3f radians, are left out; the worst is that of %s with %.3f",
            *(len(angles) - len(rows), len(angles), limit, items[worst], float(angles[worst])),
        )
    return rows


@dataclass(frozen=True)
class _Descent:
    """What stays the same through a run; a row is an attempt of an identity."""

    batched: BatchedFaceModel
    settings: LatentOptimizationSettings
    group: ProcessGroup
    mean: Tensor  # [D]
    pull: float  # the latent term's gradient is pull · (w − w̄)
    targets: Tensor  # [rows, E]
    own: slice  # the rows that this process moves
    items: list[int]  # [rows]

    def checked(self, own_rows: Tensor, what: str, iteration: int) -> Tensor:
        """The rows of all processes; only here are they checked, so that all stop together."""
        rows = gather(self.group, own_rows, len(self.items))
        wrong = (~rows.isfinite().all(dim=1)).nonzero()
        if len(wrong):
            raise BrownidError(
                f"The {what} of item {self.items[int(wrong[0])]} is not finite in iteration {iteration} of the "
                "inversion. Take a smaller learning_rate; if it happens in iteration 0, look for bad weights in the "
                "generator or the face-recognition network."
            )
        return rows


def _iterate(descent: _Descent, tensors: Tensors, iteration: int) -> tuple[Tensors, dict[str, float]]:
    """The tensors after one iteration, and the statistics before it."""
    settings, own = descent.settings, descent.own
    latents, first, second = (tensors[name][own] for name in ("latents", "first moments", "second moments"))
    targets = descent.targets[own]

    def gradients_of(rows: slice, embeddings: Tensor) -> Tensor:
        return attraction_gradient(embeddings, targets[rows], 4.0)  # its energy is a quarter of this times d²

    embeddings, pulled = descent.batched.pull_back_each(latents, gradients_of, descent.items[own], iteration)
    offsets = latents - descent.mean
    rate = settings.rate_at(iteration)
    moved = adam(latents, pulled + descent.pull * offsets, (first, second), iteration, rate)
    lengths = torch.linalg.vector_norm(offsets, dim=1)
    sizes = torch.stack([angles_to(embeddings, targets), lengths, torch.linalg.vector_norm(pulled, dim=1)], dim=1)
    angles, lengths, _ = descent.checked(sizes, "embedding or its gradient", iteration).unbind(1)
    losses = angles.double().square() + descent.pull / 2 * lengths.double().square()
    record = {
        **spread("angle", angles),
        **spread("wavg", lengths),
        "loss_avg": float(losses.mean()),
        "learning_rate": rate,
        "identities": float(len(losses)),
    }
    return {name: gather(descent.group, part, len(losses)) for name, part in zip(tensors, moved, strict=True)}, record
