"""Variations by noise on the embedding: Algorithm 3 of HyperFace (Otroshi Shahreza and Marcel, ICLR 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.dynamics.steps import summary
from brownid.embeddings.angles import angles_to
from brownid.facemodel.loading import generator_latent_std, random_latents
from brownid.facemodel.model import GeneratorFaceModel
from brownid.hyperface.inversion import check_targets, invert, reached
from brownid.hyperface.settings import ConditioningSettings
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import check_matrix
from brownid.runtime.randomness import check_items, image_items, normal
from brownid.samples.collection import SampleCollection, variation_label

CONDITIONING = "hyperface/conditioning"


def noisy_targets(
    references: Tensor, count: int, noise: float, *, seed: int, items: Sequence[int] | None = None
) -> Tensor:
    """The unit embeddings `[n, count, E]` that the images aim at: normalise(x_i + β v) around x_i `[n,E]`.

    v is addressed by (seed, identity, image): image s of an identity depends neither on `count` nor on the other
    identities. `items` numbers the identities, default 0 … n−1; `noise` is β, at least 0.
    """
    check_targets(references)
    if not 0 <= noise < float("inf"):
        raise BrownidError(f"The noise on embeddings is {noise}; it must be a number of at least 0.")
    if count < 1:
        raise BrownidError(f"{count} variations of an identity were asked for; at least 1 is needed.")
    items = check_items(items, len(references))
    # An identity's numbers come from one stream, image after image, so that more images only lengthen it.
    drawn = normal(seed, CONDITIONING, items, (count, references.shape[1])).to(references)
    return F.normalize(F.normalize(references, dim=1)[:, None] + noise * drawn, dim=2)


def variation_starts(latents: Tensor, random_latents: Tensor, share: float) -> Tensor:
    """Initial latents of the images `[n, count, D]`: the `share` of the way from the identity's latent
    `[n,D]` to a random latent of the generator `[n, count, D]`."""
    check_matrix("latents", latents, (None, None))
    check_matrix("random_latents", random_latents, (len(latents), None, latents.shape[1]))
    if not 0 <= share <= 1:
        raise BrownidError(f"start_interpolation is {share}, but must be a share between 0 and 1.")
    return latents[:, None].lerp(random_latents.to(latents), share)


PURPOSE = "hyperface/variations"
TARGET = "target_embedding"  # the column of references that were packed and then inverted


class Varied(NamedTuple):
    """The variations of some identities, one row per image."""

    latents: torch.Tensor | None  # [M, D]; None where the generator is conditioned on embeddings
    embeddings: torch.Tensor  # [M, E]
    identities: np.ndarray  # [M]
    labels: list[str]  # [M]
    statistics: Mapping[str, np.ndarray]
    extra: Mapping[str, torch.Tensor]

    @classmethod
    def of_each(
        cls,
        references: SampleCollection,
        labels: Sequence[str],
        latents: torch.Tensor | None,
        embeddings: torch.Tensor,
        statistics: Mapping[str, np.ndarray],
    ) -> Varied:
        """Latents `[N,n,D]` and embeddings `[N,n,E]` of the n `labels` of each of N references."""
        return cls(
            None if latents is None else latents.flatten(0, 1),
            embeddings.flatten(0, 1),
            np.repeat(references.identities, len(labels)),
            [*labels] * len(references),
            statistics,
            {},
        )


def inverted_variations(
    settings: Mapping[str, Any],
    model: GeneratorFaceModel,
    references: SampleCollection,
    batch_size: int,
    state: StateFile | None,
) -> Varied:
    """Images whose embeddings are those of the references with noise, found by inversion.

    Image s starts between the identity's latent and a random one, whose pose, light and expression it keeps. The noise
    is around the packed embedding where the references have one. Images that end farther than `maximum_angle` from
    what they aim at are left out; `BrownidError` where an identity loses all of its images.
    """
    conditioning = ConditioningSettings(**settings["variations"]["settings"])
    count, identities = conditioning.variations, references.identities.tolist()
    latents = torch.from_numpy(references.latents).to(model.latent_mean)
    aims = torch.from_numpy(references.extra.get(TARGET, references.embeddings)).to(latents)
    targets = noisy_targets(aims, count, conditioning.embedding_noise, seed=settings["seed"], items=identities)
    drawn = random_latents(
        model.generator, identities, settings["truncation"], settings["seed"], purpose=PURPOSE, count=count
    )
    starts = variation_starts(latents, drawn.unflatten(0, targets.shape[:2]), conditioning.start_interpolation)
    labels = [variation_label(number) for number in range(count)]
    owners = np.repeat(references.identities, count)
    items = image_items(owners, labels * len(references))
    found = invert(
        model,
        targets.flatten(0, 1),
        starts.flatten(0, 1),
        conditioning,
        seed=settings["seed"],
        items=items,
        latent_std=generator_latent_std(model.generator, settings["seed"]),
        batch_size=batch_size,
        state=state,
    )
    names = [f"identity {owner}, {labels[row % count]}" for row, owner in enumerate(owners)]
    kept = reached(found.angles, conditioning, names)
    nearest = found.angles.view(-1, count).min(dim=1).values
    _check_everybody(references.identities, owners[kept], conditioning.maximum_angle, float(nearest.max()))
    statistics = {**found.statistics, "identities": np.full(conditioning.iterations, float(len(references)))}
    return Varied(
        found.latents[kept],
        found.embeddings[kept],
        owners[kept],
        [labels[row % count] for row in kept],
        statistics,
        {"target_angle": found.angles[kept]},
    )


def conditioned_variations(settings: Mapping[str, Any], references: SampleCollection) -> Varied:
    """The embeddings that images are generated from: those of the references with noise."""
    wanted = settings["variations"]["settings"]
    embeddings = torch.from_numpy(references.require("embeddings").embeddings)
    items = references.identities.tolist()
    count, noise = wanted["variations"], wanted["embedding_noise"]
    targets = noisy_targets(embeddings, count, noise, seed=settings["seed"], items=items)
    angles = angles_to(targets.flatten(0, 1), embeddings.repeat_interleave(count, dim=0))
    measured = {**summary("refd", angles), "identities": float(len(references))}
    statistics = {name: np.array([value]) for name, value in measured.items()}  # of one moment
    return Varied.of_each(references, [variation_label(number) for number in range(count)], None, targets, statistics)


def _check_everybody(identities: np.ndarray, kept: np.ndarray, limit: float | None, enough: float) -> None:
    lost = np.setdiff1d(identities, kept)
    if len(lost):
        raise BrownidError(
            f"Identity {lost[0]} loses all its images (and {len(lost) - 1} more do): none came within maximum_angle "
            f"{limit} of its target; raise maximum_angle ({enough:.3f} leaves each identity one) or iterations, or "
            "lower embedding_noise or start_interpolation."
        )
