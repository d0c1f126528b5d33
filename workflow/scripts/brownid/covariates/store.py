"""covariates.h5: one group a covariate."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from brownid.covariates.svm import Covariate
from brownid.errors import BrownidError
from brownid.samples import hdf5

MAGIC = "brownid_covariates"
MAJOR = 1
NUMBERS = {field.name: field.type for field in fields(Covariate) if field.name != "normal"}


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
    if not np.isclose(np.linalg.norm(normal), 1):
        raise BrownidError(f"{where} has no unit normal: make the file again.")
    numbers = {number: hdf5.attribute(group, number, kind) for number, kind in NUMBERS.items()}
    missing = [number for number, value in numbers.items() if value is None]
    if missing:
        raise BrownidError(f"{where} lacks the attribute {missing[0]}: make the file again.")
    return Covariate(normal=normal, **numbers)
