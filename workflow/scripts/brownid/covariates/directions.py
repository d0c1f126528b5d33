"""Covariates: directions that separate the two sides of an attribute (linear SVM), covariates.h5, and edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brownid.covariates.settings import EditingSettings
from brownid.runtime.errors import BrownidError, suggestion
from brownid.samples import hdf5

EXPRESSIONS = ("smile", "scream", "disgust", "squint", "surprise")
SWEPT = ("pose", "illumination")  # by the `covariates` variations
FITTED, HELD_OUT = "train", "eval"  # groups of a protocol


@dataclass(frozen=True)
class Contrast:
    """Two values of one attribute, in the images of one protocol."""

    protocol: str  # of the database index
    attribute: str  # "pose", "illumination" or "expression"
    negative: str
    positive: str


CONTRASTS: dict[str, Contrast] = {
    "pose": Contrast("P_center_lit", "pose", negative="left", positive="right"),
    "illumination": Contrast("U", "illumination", negative="left", positive="right"),
    **{name: Contrast("E_lit", "expression", negative="neutral", positive=name) for name in EXPRESSIONS},
}


def sides(covariate: str, metadata: Sequence[Mapping[str, object]]) -> tuple[np.ndarray, np.ndarray]:
    """The images to fit a covariate on, as masks `(chosen, positive)` `[n]` from the `metadata` of n images.

    The images are those of the contrast's protocol. Images of neither side (frontal pose, other expressions, discarded
    lights) are not chosen. Raises BrownidError where a side is empty.
    """
    if covariate not in CONTRASTS:
        raise BrownidError(f"There is no covariate {covariate!r}: {suggestion(covariate, CONTRASTS)}")
    contrast = CONTRASTS[covariate]
    values = np.array([str(image.get(contrast.attribute)) for image in metadata])
    positive = values == contrast.positive
    chosen = positive | (values == contrast.negative)
    for value in (contrast.negative, contrast.positive):
        if not (values == value).any():
            raise BrownidError(
                f"No image of protocol {contrast.protocol} has the {contrast.attribute} {value!r}, so the covariate "
                f"{covariate!r} cannot be fitted: project more images, or check the database index."
            )
    return chosen, positive


MAXIMUM_ITERATIONS = 10000


@dataclass(frozen=True)
class Covariate:
    """A unit normal, and where the two sides lie along it."""

    normal: np.ndarray  # [D], unit, float64, from the negative to the positive side
    offset: float  # of the hyperplane: n·w = offset on it
    negative_mean: float  # mean signed distance of the negative side from the hyperplane
    positive_mean: float
    accuracy: float  # share of the training latents on their own side
    negative_count: int
    positive_count: int

    def distance(self, latents: np.ndarray) -> np.ndarray:
        """The signed distance `[...]` of latents `[..., D]` from the hyperplane."""
        return latents @ self.normal - self.offset

    def direction(self, scale: float = 1.0) -> np.ndarray:
        """v = scale · max(−negative_mean, positive_mean) · n, `[D]`, of DisCo (Geissbühler et al., ICML 2025)."""
        return scale * max(-self.negative_mean, self.positive_mean) * self.normal


def fit_covariate(latents: np.ndarray, positive: np.ndarray) -> Covariate:
    """The covariate of latents `[n, D]` whose positive side is the mask `positive` `[n]`; the others are negative.

    The solver works on the primal problem, which takes no random numbers: same input, same result.
    """
    latents, positive = np.asarray(latents, dtype=np.float64), np.asarray(positive, dtype=bool)
    if latents.ndim != 2 or positive.shape != (len(latents),):
        raise BrownidError(
            f"Latents {latents.shape} and mask {positive.shape} do not fit: one row and one mark each are needed."
        )
    if not np.isfinite(latents).all():
        raise BrownidError("Some latents are not finite numbers: leave failed projections out of the fit.")
    if positive.all() or not positive.any():
        raise BrownidError(
            f"A covariate needs images of both sides, but {positive.sum()} of {len(positive)} are positive: "
            "project more images, or check the attributes in the database index."
        )
    from sklearn.svm import LinearSVC  # here: importing it takes a second, and most stages only read covariates

    midpoint = (latents[positive].mean(axis=0) + latents[~positive].mean(axis=0)) / 2
    machine = LinearSVC(fit_intercept=False, max_iter=MAXIMUM_ITERATIONS, dual=False)
    machine.fit(latents - midpoint, positive)
    coefficients = machine.coef_[0]
    if not np.linalg.norm(coefficients) > 0:
        raise BrownidError("The two sides of the covariate have the same latents: there is no direction between them.")
    normal = coefficients / np.linalg.norm(coefficients)
    offset = float(normal @ midpoint)
    distances = latents @ normal - offset
    return Covariate(
        normal=normal,
        offset=offset,
        negative_mean=float(distances[~positive].mean()),
        positive_mean=float(distances[positive].mean()),
        accuracy=float(((distances > 0) == positive).mean()),
        negative_count=int((~positive).sum()),
        positive_count=int(positive.sum()),
    )


def classification_accuracy(covariate: Covariate, latents: np.ndarray, positive: np.ndarray) -> float:
    """The share of latents `[n, D]` on their own side of the hyperplane, for images that were not used in the fit."""
    return float(((covariate.distance(latents) > 0) == np.asarray(positive, dtype=bool)).mean())


MAGIC = "brownid_covariates"
MAJOR = 1
NUMBERS: dict[str, Any] = {field.name: field.type for field in fields(Covariate) if field.name != "normal"}


def save_covariates(
    path: str | Path,
    covariates: Mapping[str, Covariate],
    *,
    generator: str,
    settings: Mapping[str, object] | None = None,
) -> None:
    """Write named covariates of one generator: per group the dataset `normal` `[D]`, the numbers as attributes.

    `settings`, what made them, becomes an attribute in JSON.
    """
    with hdf5.writing(path) as file:
        file.attrs.update({"major": MAJOR, "minor": 0})
        texts = {"magic": MAGIC, "generator": generator, "settings": hdf5.settings_text(settings or {})}
        for name, text in texts.items():
            hdf5.set_text(file, name, text)
        for name, covariate in covariates.items():
            group = file.create_group(name)
            hdf5.set_array(group, "normal", np.asarray(covariate.normal))
            for number in NUMBERS:
                group.attrs[number] = getattr(covariate, number)


def load_covariates(path: str | Path, *, generator: str | None = None) -> dict[str, Covariate]:
    """Read what `save_covariates` wrote; with `generator`, refuse those of another one.

    Raises BrownidError, naming the file, where it is not such a file or is damaged.
    """
    with hdf5.reading(path) as file:
        if hdf5.attribute(file, "magic") != MAGIC or hdf5.attribute(file, "major", int) != MAJOR:
            raise BrownidError(f"{path} is not a covariates file of version {MAJOR}: name the right file.")
        theirs = hdf5.attribute(file, "generator")
        if generator is not None and theirs != generator:
            raise BrownidError(
                f"{path} belongs to the generator {theirs!r}, not to {generator!r}: "
                "covariates are directions in the latent space of one generator."
            )
        return {name: _read(file, name) for name in file}


def _read(file: h5py.File, name: str) -> Covariate:
    group, where = file[name], f"The covariate {name!r} in {file.filename}"
    if not isinstance(group, h5py.Group) or "normal" not in group:
        raise BrownidError(f"{where} has no normal: make the file again.")
    normal = hdf5.array(group, "normal", np.floating, 1).astype(np.float64)
    numbers: dict[str, Any]
    if not np.isclose(np.linalg.norm(normal), 1):
        raise BrownidError(f"{where} has no unit normal: make the file again.")
    numbers = {number: hdf5.attribute(group, number, kind) for number, kind in NUMBERS.items()}
    missing = [number for number, value in numbers.items() if value is None]
    if missing:
        raise BrownidError(f"{where} lacks the attribute {missing[0]}: make the file again.")
    return Covariate(normal=normal, **numbers)


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
