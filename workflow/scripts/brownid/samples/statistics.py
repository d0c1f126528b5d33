"""stats.h5: what a run measured, one dataset per quantity, one number (or row) per iteration.

The names of the published files have their published meaning. Of references: `dist_*` angles of pairs (radians),
`prop_ict` the share of pairs farther apart than the inter-class threshold, `w2wd_*` latent distances of pairs,
`wavg_avg` the mean distance to the mean latent, `intf_*` norms of the repulsion, `latf_*` of the pull to the mean
latent, `totf_*` of their sum, `rndf_*` of the noise, `timestep`. Of variations: `dist_*` and `w2wd_*` of pairs within
an identity, `intf_*` of the pull to the reference's embedding, `latf_*` of all forces in latent space, `totf_*` of all
with the noise; there is no `prop_ict`. All norms are over the latent dimension; the authors' own files of variations
take those norms over the variations, and hold zeros for `prop_ict` and `timestep`.

The root attribute `statistics_version` marks these meanings. Files of this project without it are of version 1 and are
converted when they are read; without it and with the published names alone, a file is the authors' and read as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger
from brownid.samples import hdf5

VERSION = 2
VERSION_ATTRIBUTE = "statistics_version"
_SUMS = ("energy", "identities")


def save_statistics(path: str | Path, statistics: Mapping[str, object]) -> None:
    """Write `{name: numbers over iterations}` (arrays, lists, tensors); the file appears whole or not at all."""
    with hdf5.writing(path) as file:
        file.attrs[VERSION_ATTRIBUTE] = VERSION
        for name, values in sorted(statistics.items()):
            values = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
            if "/" in name or not name or not np.issubdtype(values.dtype, np.number):
                raise BrownidError(f"{path}: the statistic {name!r} must have a plain name and hold numbers.")
            hdf5.set_array(file, name, values)


def load_statistics(path: str | Path) -> dict[str, np.ndarray]:
    """The quantities of a stats.h5, in the meanings above; a file that is damaged, newer than this program or holds
    anything else is a BrownidError naming it."""
    with hdf5.reading(path) as file:
        if not len(file):
            raise BrownidError(f"{path}: this is no file of run statistics, it is empty.")
        version = hdf5.attribute(file, VERSION_ATTRIBUTE, int)
        if version is not None and version > VERSION:
            raise BrownidError(
                f"{path}: these statistics are of version {version}; this brownid reads versions up to {VERSION}:"
                " update it."
            )
        statistics = {name: hdf5.array(file, name) for name in file}
    return _converted(path, statistics) if version is None else statistics


def _converted(path: str | Path, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Statistics of version 1 in the meanings of today; others as they are.

    Version 1 counted the pairs below the threshold. Its variations had angles to the reference as `dist_*`, and grouped
    the forces otherwise, which cannot be undone.
    """
    if "prop_ict" in found and "nn_mean" in found:  # the authors never recorded the second
        return {**found, "prop_ict": 1 - found["prop_ict"]}
    if "identities" not in found or "dist_avg" not in found:
        return found
    forces = sorted(name for name in found if name.startswith(("intf_", "latf_", "totf_")))
    if forces:
        logger.warning(
            "%s: left out %s, which an earlier brownid grouped otherwise; run the stage again to have them",
            *(path, ", ".join(forces)),
        )
    kept = {name: values for name, values in found.items() if name not in forces}
    return {name.replace("dist_", "refd_") if name.startswith("dist_") else name: kept[name] for name in kept}


def merge_statistics(shards: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The statistics of independent shards (Dispersion) as if one process had computed them all.

    A name's ending says how it merges: `_min` by the minimum, `_max` by the maximum; `energy` and `identities` add up;
    all others (`_avg`, `timestep`) are means over identities, so they are weighted by `identities`, the number of
    identities behind each value, which every shard needs.
    """
    if not shards:
        raise BrownidError("There are no statistics to merge: give at least one shard.")
    names = list(shards[0])
    for position, shard in enumerate(shards):
        if set(shard) != set(names) or "identities" not in shard:
            raise BrownidError(
                f"The statistics of shard {position} hold {sorted(shard)}, but those of shard 0 {sorted(names)}, and "
                "`identities` must be among them; merge only shards of one Dispersion."
            )
        if len(shard["identities"]) != len(shards[0]["identities"]):
            raise BrownidError(f"Shard {position} ran other numbers of iterations than shard 0; run it again.")
    weights = np.stack([shard["identities"] for shard in shards])
    return {name: _merge(name, np.stack([shard[name] for shard in shards]), weights) for name in names}


def _merge(name: str, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if name in _SUMS:
        return values.sum(axis=0)
    if name.endswith("_min"):
        return values.min(axis=0)
    if name.endswith("_max"):
        return values.max(axis=0)
    return (values * weights).sum(axis=0) / weights.sum(axis=0)
