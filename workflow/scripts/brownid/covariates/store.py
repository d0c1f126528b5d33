"""covariates.h5: one group a covariate."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from brownid.covariates.svm import Covariate
from brownid.errors import BrownidError
from brownid.files import atomic_path

MAGIC = "brownid_covariates"
MAJOR = 1
NUMBERS = {field.name: field.type for field in fields(Covariate) if field.name != "normal"}


def save_covariates(path: str | Path, covariates: Mapping[str, Covariate], *, generator: str) -> None:
    """Write named covariates of one generator: per group the dataset `normal` `[D]`, the numbers as attributes."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"magic": MAGIC, "major": MAJOR, "minor": 0, "generator": generator})
        for name, covariate in covariates.items():
            group = file.create_group(name)
            group["normal"] = covariate.normal
            for number in NUMBERS:
                group.attrs[number] = getattr(covariate, number)


def load_covariates(path: str | Path, *, generator: str | None = None) -> dict[str, Covariate]:
    """Read what `save_covariates` wrote; with `generator`, refuse those of another one.

    Raises BrownidError, naming the file, where it is not such a file or is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("magic") != MAGIC or file.attrs.get("major") != MAJOR:
                raise BrownidError(f"{path} is not a covariates file of version {MAJOR}: name the right file.")
            if generator is not None and file.attrs["generator"] != generator:
                raise BrownidError(
                    f"{path} belongs to the generator {file.attrs['generator']!r}, not to {generator!r}: "
                    "covariates are directions in the latent space of one generator."
                )
            covariates = {name: _read(group) for name, group in file.items()}
    except (OSError, KeyError) as error:
        raise BrownidError(f"{path} cannot be read as covariates ({error}): make it again.") from error
    for name, covariate in covariates.items():
        if covariate.normal.ndim != 1 or not np.isclose(np.linalg.norm(covariate.normal), 1):
            raise BrownidError(f"The covariate {name!r} in {path} has no unit normal: make the file again.")
    return covariates


def _read(group: h5py.Group) -> Covariate:
    numbers = {number: kind(group.attrs[number]) for number, kind in NUMBERS.items()}
    return Covariate(normal=group["normal"][()].astype(np.float64), **numbers)
