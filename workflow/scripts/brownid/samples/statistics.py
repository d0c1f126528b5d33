"""stats.h5: what a run measured, one dataset a quantity, one number (or row) an iteration."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brownid.errors import BrownidError
from brownid.samples import hdf5


def save_statistics(path: str | Path, statistics: Mapping[str, object]) -> None:
    """Write `{name: numbers over iterations}`; arrays, lists and tensors serve. The file appears whole or not at all.

    The names of a dynamics run are `dist_{min,avg,max}`, `prop_ict`, `w2wd_{min,avg,max}`, `wavg_avg`,
    `{intf,rndf,latf,totf}_{min,avg,max}` and `timestep`.
    """
    with hdf5.writing(path) as file:
        for name, values in sorted(statistics.items()):
            values = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
            if "/" in name or not name or not np.issubdtype(values.dtype, np.number):
                raise BrownidError(f"{path}: the statistic {name!r} must have a plain name and hold numbers.")
            file[name] = values


def load_statistics(path: str | Path) -> dict[str, np.ndarray]:
    """The quantities of a stats.h5; a file that is damaged or holds anything else is a BrownidError naming it."""
    with hdf5.reading(path) as file:
        if not len(file):
            raise BrownidError(f"{path}: this is no file of run statistics, it is empty.")
        return {name: hdf5.array(file, name) for name in file}
