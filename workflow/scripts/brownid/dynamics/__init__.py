"""The dynamics of identities: pure tensors in, tensors out; any face model serves."""

from brownid.dynamics.baselines import (
    BaselineResult,
    RejectSettings,
    RepulseSettings,
    random_references,
    reject_references,
    repulse_references,
)
from brownid.dynamics.dispersion import DispersionResult, DispersionSettings, dispersion, dispersion_start
from brownid.dynamics.langevin import LangevinResult, LangevinSettings, langevin
from brownid.dynamics.pairs import angle_statistics, latent_statistics, nearest_neighbours
from brownid.dynamics.statistics import crowd_statistics, merge_statistics

__all__ = [
    "BaselineResult",
    "DispersionResult",
    "DispersionSettings",
    "LangevinResult",
    "LangevinSettings",
    "RejectSettings",
    "RepulseSettings",
    "angle_statistics",
    "crowd_statistics",
    "dispersion",
    "dispersion_start",
    "langevin",
    "latent_statistics",
    "merge_statistics",
    "nearest_neighbours",
    "random_references",
    "reject_references",
    "repulse_references",
]
