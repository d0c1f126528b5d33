"""HyperFace's variations (Algorithm 3): noise on the embedding, then inversion, for generators with latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from brownid.dynamics.potentials import angles_to
from brownid.dynamics.statistics import spread
from brownid.errors import BrownidError
from brownid.hypersphere.conditioning import noisy_targets, variation_starts
from brownid.hypersphere.inversion import invert, reached
from brownid.hypersphere.settings import ConditioningSettings
from brownid.jobs.drawing import generator_spread, random_latents
from brownid.randomness import image_items
from brownid.recognition.facemodel import GeneratorFaceModel
from brownid.resuming import StateFile
from brownid.samples.collection import SampleCollection, variation_label

PURPOSE = "hyperface/variations"
TARGET = "target_embedding"  # the column of references that were packed and then inverted


class Varied(NamedTuple):
    """The variations of some identities, one row an image."""

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
    starts = variation_starts(latents, drawn.unflatten(0, targets.shape[:2]), conditioning.start_spread)
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
        latent_spread=generator_spread(model.generator, settings["seed"]),
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
    measured = {**spread("refd", angles), "identities": float(len(references))}
    statistics = {name: np.array([value]) for name, value in measured.items()}  # of one moment
    return Varied.of_each(references, [variation_label(number) for number in range(count)], None, targets, statistics)


def _check_everybody(identities: np.ndarray, kept: np.ndarray, limit: float | None, enough: float) -> None:
    lost = np.setdiff1d(identities, kept)
    if len(lost):
        raise BrownidError(
            f"identity {lost[0]} loses all its images (and {len(lost) - 1} more do): none came within maximum_angle "
            f"{limit} of what it aimed at; raise maximum_angle ({enough:.3f} leaves everybody one) or iterations, or "
            "lower embedding_noise or start_spread."
        )
