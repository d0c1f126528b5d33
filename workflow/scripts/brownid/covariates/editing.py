"""Latent editing with covariates: one controlled change at a time (the `covariates` variations)."""

from collections.abc import Mapping

import numpy as np

from brownid.covariates.directions import EXPRESSIONS, Covariate
from brownid.covariates.settings import EditingSettings
from brownid.runtime.errors import BrownidError

SWEPT = ("pose", "illumination")


def directions(covariates: Mapping[str, Covariate], scales: Mapping[str, float]) -> np.ndarray:
    """v_m of every covariate named in `scales`, in that order: `[M, D]`."""
    return np.stack([_find(covariates, name).direction(scale) for name, scale in scales.items()])


def neutralise(latents: np.ndarray, covariates: Mapping[str, Covariate]) -> np.ndarray:
    """Latents `[N, D]` with a frontal pose, light from the front and a neutral mouth.

    Sets the distance along pose and illumination to zero and that along smile to the mean of its neutral side. The
    normals are not orthogonal, so removing one component after the other would bring earlier ones back: this is the
    smallest change that sets all three at once, δ = N⁺ (wanted − current) with N⁺ the pseudo-inverse of the normals.
    """
    named = [_find(covariates, name) for name in (*SWEPT, "smile")]
    wanted = np.array([0.0, 0.0, named[-1].negative_mean])
    current = np.stack([covariate.distance(latents) for covariate in named], axis=-1)  # [N, 3]
    normals = np.stack([covariate.normal for covariate in named])  # [3, D]
    return latents + (wanted - current) @ np.linalg.pinv(normals).T


def sweep(latents: np.ndarray, covariate: Covariate, scale: float, steps: int) -> np.ndarray:
    """Latents `[N, steps, D]` moved along one normal, evenly from −v to +v, v = `covariate.direction(scale)`."""
    return latents[:, None] + np.linspace(-1, 1, steps)[:, None] * covariate.direction(scale)


def express(latents: np.ndarray, covariate: Covariate, scale: float) -> np.ndarray:
    """Latents `[N, D]` moved along one normal to `scale` times the mean distance of the positive side."""
    missing = scale * covariate.positive_mean - covariate.distance(latents)  # [N]
    return latents + missing[:, None] * covariate.normal


def edit_references(
    latents: np.ndarray, covariates: Mapping[str, Covariate], settings: EditingSettings | None = None
) -> tuple[np.ndarray, list[str]]:
    """The `covariates` variations of reference latents `[N, D]`: `[N, n, D]` and the n labels.

    Each identity is neutralised, then given a pose sweep, an illumination sweep and one latent an expression; with the
    default settings n is 6 + 6 + 5. Labels are `pose_0`, ..., `illumination_0`, ..., `smile`, ...
    """
    settings = settings or EditingSettings()
    latents = np.asarray(latents, dtype=np.float64)
    neutral = neutralise(latents, covariates)
    parts, labels = [], []
    for name in SWEPT:
        parts.append(sweep(neutral, covariates[name], getattr(settings, f"{name}_scale"), settings.steps))
        labels += [f"{name}_{step}" for step in range(settings.steps)]
    for name in EXPRESSIONS:
        parts.append(express(neutral, _find(covariates, name), settings.expression_scale)[:, None])
        labels.append(name)
    return np.concatenate(parts, axis=1), labels


def _find(covariates: Mapping[str, Covariate], name: str) -> Covariate:
    if name not in covariates:
        raise BrownidError(f"There is no covariate {name!r} among {', '.join(covariates) or 'none'}: fit it first.")
    return covariates[name]
