"""Ground-truth controls: whether what the networks measure on generated faces is what the embedded world knows.

- Do nearest-neighbour angles grow because identities part, or because heads turn? The same angles with the nuisance of
  every latent set to neutral: a gain that survives is identity.
- Do variations stay close to their reference because the dynamics keep the identity, or because they move little?
  Random noise of equal radius around the same references.
- Does a fitted covariate point where the world's true direction points?
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from brownid.embeddings.distances import nearest_angles, row_angles, unit_rows
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.model import FaceModel
from brownid.runtime.randomness import normal

BATCH = 64


class TruthfulGenerator(Protocol):
    """What the controls need of a generator with known ground truth."""

    def reset_nuisance(self, latents: Tensor) -> Tensor:
        """The latents with neutral nuisance and the same identity."""

    def attribute_direction(self, name: str) -> Tensor:
        """The true edit direction of an attribute, unit `[D]`."""


def separation_control(
    model: FaceModel, generator: TruthfulGenerator, references: Tensor
) -> dict[str, dict[str, float]]:
    """Nearest-neighbour angles (radians: minimum, mean, maximum) of references `[n, D]`.

    Keys `as rendered`, and with neutral nuisance `neutral`.
    """
    latents = {"as rendered": references, "neutral": generator.reset_nuisance(references)}
    return {name: _figures(nearest_angles(embed_latents(model, values))[1]) for name, values in latents.items()}


def variation_control(
    model: FaceModel, references: Tensor, variations: Tensor, owners: Sequence[int], *, seed: int
) -> dict[str, dict[str, float]]:
    """Angles of variations to their reference, against random noise of the same latent distance from it.

    `references` `[N, D]`, `variations` `[M, D]` and `owners` `[M]`, the row of each one's reference; keys `variations`
    and `noise`, radians.
    """
    owners = list(owners)
    around = references[owners]
    offsets = variations - around
    directions = normal(seed, "controls/noise", range(len(owners)), offsets.shape[1:]).to(offsets)
    directions = directions / directions.norm(dim=1, keepdim=True)
    noise = around + offsets.norm(dim=1, keepdim=True) * directions
    reference_embeddings = embed_latents(model, references)[owners]
    return {
        name: _figures(row_angles(reference_embeddings, embed_latents(model, latents)))
        for name, latents in (("variations", variations), ("noise", noise))
    }


def covariate_control(generator: TruthfulGenerator, normals: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The cosine of each fitted unit normal `[D]` with the world's true direction of that attribute."""
    cosines = {}
    for name, fitted in normals.items():
        true = np.asarray(generator.attribute_direction(name).detach().cpu(), np.float64)
        fitted = np.asarray(fitted, np.float64)
        cosines[name] = float(fitted @ true / (np.linalg.norm(fitted) * np.linalg.norm(true)))
    return cosines


def embed_latents(model: FaceModel, latents: Tensor, batch: int = BATCH) -> np.ndarray:
    """Unit embeddings float32 `[n, E]` of latents `[n, D]`, batch by batch and without gradients."""
    return unit_rows(BatchedFaceModel(model, batch).embed(latents).float().cpu().numpy())


def _figures(angles: np.ndarray) -> dict[str, float]:
    return {"minimum": float(angles.min()), "mean": float(angles.mean()), "maximum": float(angles.max())}
