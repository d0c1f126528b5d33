"""Run statistics: one value per iteration and quantity."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from brownid.dynamics.pairs import AngleStatistics, DistanceStatistics, angle_statistics, latent_statistics


def spread(name: str, values: torch.Tensor) -> dict[str, float]:
    """`name_min`, `name_avg` and `name_max` of all values; NaN where there is none. The mean is taken in float64."""
    if not values.numel():
        return {f"{name}_{kind}": float("nan") for kind in ("min", "avg", "max")}
    return {
        f"{name}_min": float(values.min()),
        f"{name}_avg": float(values.mean(dtype=torch.float64)),
        f"{name}_max": float(values.max()),
    }


def pairwise_statistics(
    latents: torch.Tensor, embeddings: torch.Tensor, latent_mean: torch.Tensor, ict: float
) -> dict[str, float]:
    """What describes a set of references `[N,D]`, `[N,E]` at one moment, over all pairs and none dropped.

    `dist_*`: angles of pairs (radians); `prop_ict`: share of pairs farther apart than `ict`; `nn_mean`: mean angle to
    the nearest neighbour; `w2wd_*`: distances of pairs of latents; `wavg_avg`: mean distance to the mean latent.
    """
    return pairwise_record(angle_statistics(embeddings, ict), latent_statistics(latents), latents, latent_mean)


def pairwise_record(
    angles: AngleStatistics, distances: DistanceStatistics, latents: torch.Tensor, latent_mean: torch.Tensor
) -> dict[str, float]:
    """`pairwise_statistics` where angles and distances are known already."""
    return {
        "dist_min": angles.minimum,
        "dist_avg": angles.mean,
        "dist_max": angles.maximum,
        "prop_ict": angles.share_above,
        "nn_mean": float(angles.nearest.mean(dtype=torch.float64)) if len(latents) > 1 else float("nan"),
        "w2wd_min": distances.minimum,
        "w2wd_avg": distances.mean,
        "w2wd_max": distances.maximum,
        "wavg_avg": spread("wavg", torch.linalg.vector_norm(latents - latent_mean, dim=1))["wavg_avg"],
    }


def as_arrays(records: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, np.ndarray]:
    """name -> float64 array `[iterations]`, in the order of `names`."""
    return {name: np.array([record[name] for record in records], dtype=np.float64) for name in names}
