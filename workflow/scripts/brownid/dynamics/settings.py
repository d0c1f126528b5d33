"""Settings of the dynamics and of their baselines; angles are in radians, lengths in latent units."""

import math
from dataclasses import dataclass

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import Settings, setting


@dataclass(frozen=True)
class LangevinSettings(Settings):
    """Langevin dynamics; the defaults are the published 10k run."""

    iterations: int = setting(100, "Number of updates.", minimum=0)
    repulsion_coefficient: float = setting(1.0, "Coefficient k of the repulsion between identities.", minimum=0)
    repulsion_radius: float = setting(1.4, "Radius d0 of the repulsion.", unit="radians", minimum=0, maximum=math.pi)
    timestep: float = setting(
        -0.3,
        "Timestep; positive: fixed; negative: automatic, its magnitude times the smallest distance between latents.",
        nonzero=True,
    )
    viscous_coefficient: float = setting(1.0, "Viscosity mu.", above=0)
    random_force: float = setting(0.01, "Standard deviation eta0 of the random force.", minimum=0)
    latent_force: float = setting(0.1, "Coefficient k_l of the pull to the mean latent.", minimum=0)
    fixed_distance: float = setting(
        0.6, "Radius dC of the repulsion from the leak guard.", unit="radians", minimum=0, maximum=math.pi
    )
    ict: float = setting(
        1.4, "Inter-class threshold of the statistic prop_ict.", unit="radians", minimum=0, maximum=math.pi
    )
    force_clip: float | None = setting(None, "Largest norm of the force on an identity; null: no limit.", above=0)
    neighbours: str = setting(
        "current",
        "Pass from which the other identities' embeddings are taken; previous saves one pass in two.",
        choices=("current", "previous"),
    )


@dataclass(frozen=True)
class DispersionSettings(Settings):
    """Dispersion and DisCo; the defaults are the published Dispersion rl12."""

    iterations: int = setting(20, "Number of updates.", minimum=0)
    variations: int = setting(64, "Number n of images per identity, without the reference.", minimum=1)
    embedding_coefficient: float = setting(20.0, "Coefficient k_e of the pull to the reference's embedding.", minimum=0)
    latent_coefficient: float = setting(1.0, "Coefficient k_w of the repulsion between latents.", minimum=0)
    latent_radius: float = setting(12.0, "Radius r_w of the repulsion between latents.", unit="latent units", minimum=0)
    latent_global_coefficient: float = setting(1.0, "Coefficient k_g of the pull to the mean latent.", minimum=0)
    random_force: float = setting(0.05, "Standard deviation eta0 of the random force.", minimum=0)
    viscous_coefficient: float = setting(1.0, "Viscosity mu.", above=0)
    timestep: float = setting(
        0.05, "Timestep; positive: fixed; negative: automatic for each identity, as in Langevin.", nonzero=True
    )
    initial_noise: float = setting(0.2, "Standard deviation s0 of the random start.", unit="latent units", minimum=0)
    force_clip: float | None = setting(None, "Largest norm of the force on a variation; null: no limit.", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timestep < 0 and self.variations < 2:
            raise BrownidError(
                "DispersionSettings.timestep is automatic (negative), which needs at least 2 variations; "
                "set a positive timestep."
            )


@dataclass(frozen=True)
class WithinClassSettings(DispersionSettings):
    """Within-class variations: Dispersion from a start that varies as photographs of one person do."""

    initial_noise: float = setting(
        0.0, "Standard deviation s0 of isotropic noise in the start.", unit="latent units", minimum=0
    )
    within_class_scale: float = setting(
        1.0, "Scale s of the start's deviations; 1: their covariance is the within-class covariance.", minimum=0
    )
    variance_share: float = setting(
        0.95,
        "Share of the within-class variance that the leading directions (eigenvectors) in use hold.",
        above=0,
        maximum=1,
    )
    space: str = setting(
        "w",
        "Latent space of the variations; w: one latent for all layers of the generator; w_plus: one per layer, from "
        "covariates that were projected there.",
        choices=("w", "w_plus"),
    )


@dataclass(frozen=True)
class RandomSettings(Settings):
    """Random references, a baseline."""

    ict: float = setting(
        1.4, "Inter-class threshold of the statistic prop_ict.", unit="radians", minimum=0, maximum=math.pi
    )


@dataclass(frozen=True)
class RejectSettings(Settings):
    """Rejection sampling: a candidate is accepted when it is far enough from all accepted before."""

    ict: float = setting(
        1.4,
        "Inter-class threshold, the smallest angle between two references.",
        unit="radians",
        minimum=0,
        maximum=math.pi,
    )
    fixed_distance: float = setting(
        0.6, "Smallest angle to the leak guard.", unit="radians", minimum=0, maximum=math.pi
    )
    candidates_per_reference: int = setting(
        100, "Largest number of candidates per wanted reference, after which the job stops.", minimum=1
    )


@dataclass(frozen=True)
class RepulseSettings(RejectSettings):
    """Rejection sampling in which a candidate first moves away from all accepted before."""

    steps: int = setting(10, "Largest number of moves of a candidate.", minimum=0)
    repulsion_coefficient: float = setting(
        1.0, "Coefficient k of the repulsion, which is also the length of a move.", minimum=0
    )
    repulsion_radius: float = setting(1.4, "Radius d0 of the repulsion.", unit="radians", minimum=0, maximum=math.pi)
