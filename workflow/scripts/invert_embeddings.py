"""From packed embeddings to references: latents by inversion, or the embeddings themselves where the generator is
conditioned on embeddings."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from brownid.facemodel.loading import generator_checksums, load_face_model
from brownid.hyperface.inversion import found_references, load_faces, reached, search
from brownid.hyperface.settings import InversionSettings
from brownid.jobs.distributed import SINGLE, ProcessGroup
from brownid.jobs.launch import run_in_processes
from brownid.jobs.resume import discard_state, job_state, open_state
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path, sha256
from brownid.samples.collection import SampleCollection
from brownid.samples.provenance import write_command
from brownid.samples.statistics import load_statistics, save_statistics


def invert_embeddings(
    settings: Mapping[str, Any],
    *,
    targets: Path,
    packing_statistics: Path,
    faces: Path | None,
    weights: Path,
    samples: Path,
    statistics: Path,
    command: Path,
    table: Path,
    batch_size: int = 64,
    state: Path | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
    processes: int = 1,
    launcher: str = "auto",
) -> None:
    """Write the references of a packed entry, and a table with the angle that each identity reached to its target.

    Identities that stay farther from it than `inversion.maximum_angle` are left out of `samples`, and told by the
    column `kept` of the table; `BrownidError` where they are more than `maximum_rejected_share`. Without `faces`, the
    generator is conditioned on embeddings: the references are the targets, their statistics those of the packing.
    Resuming and `processes` are those of `sample_references`.
    """
    paths = {"targets": targets, "faces": faces, "weights": weights}
    named = {str(path): sha256(path) for path in paths.values() if path}
    inputs: dict[str, Any] = {name: path and named[str(path)] for name, path in paths.items()}
    if faces is None:
        _write_targets_as_references(settings, targets, packing_statistics, samples, statistics, table)
    else:
        generator = generator_checksums(settings)
        inputs["generator"] = generator
        named |= generator
        # which identities are left out in the end does not matter to the optimisation
        optimised = {name: value for name, value in settings.items() if name != "maximum_rejected_share"}
        optimised["inversion"] = {**settings["inversion"], "maximum_angle": None}
        call: dict[str, Any] = {"settings": settings, "batch_size": batch_size}
        call |= {"state": job_state(state, optimised, code, inputs, saving)}
        call |= {name: str(path) for name, path in paths.items()}
        call |= {"samples": samples, "statistics": statistics, "table": table}
        run_in_processes(invert_in_group, call, processes, launcher)
    write_command(command, settings=settings, seed=settings.get("seed"), inputs=named, command="invert_embeddings")
    discard_state(state)


def invert_in_group(
    settings: Mapping[str, Any],
    *,
    targets: Path,
    faces: Path,
    weights: Path,
    samples: Path,
    statistics: Path,
    table: Path,
    batch_size: int,
    state: Mapping[str, Any] | None,
    group: ProcessGroup = SINGLE,
) -> None:
    """Work of each process of the job; the first one writes."""
    model = load_face_model(settings, weights)
    wanted = SampleCollection.load(targets, columns=("embeddings",), required=True)
    inversion = InversionSettings(**settings["inversion"])
    found = search(
        model,
        wanted,
        load_faces(faces, "gallery", columns=("latents", "embeddings")),
        inversion,
        seed=settings["seed"],
        batch_size=batch_size,
        state=open_state(state),
        group=group,
    )
    if group.rank:
        return
    kept = reached(found.angles, inversion, [f"identity {identity}" for identity in wanted.identities])
    write_angles(table, wanted.identities, found.angles, kept)
    _check_rejected(found.angles, len(kept), inversion.maximum_angle, settings["maximum_rejected_share"])
    found_references(settings, wanted, found, kept).save(samples)
    save_statistics(statistics, found.statistics)


def write_angles(table: Path, identities: np.ndarray, angles: torch.Tensor, kept: list[int]) -> None:
    """One row per identity: the angle between the embedding reached and its target (radians; none where the target
    itself is rendered), and whether it is kept."""
    marks = np.zeros(len(identities), dtype=bool)
    marks[kept] = True
    rows = pd.DataFrame({"identity": identities, "angle": angles.cpu().numpy(), "kept": marks})
    with atomic_path(table) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.6f")


def _check_rejected(angles: torch.Tensor, kept: int, limit: float | None, most: float) -> None:
    total = len(angles)
    if total - kept > math.floor(most * total + 1e-9):  # 0.29 · 100 is a little less than 29
        raise BrownidError(
            f"{total - kept} of {total} identities were not reached within inversion.maximum_angle {limit}, more than "
            f"maximum_rejected_share ({most}) allows: raise either of them (half come within "
            f"{float(angles.median()):.3f}, all within {float(angles.max()):.3f} radians), iterations or attempts, or "
            "gallery_coefficient, which keeps the packed embeddings nearer to those of faces."
        )


def _write_targets_as_references(
    settings: Mapping[str, Any], targets: Path, packing_statistics: Path, samples: Path, statistics: Path, table: Path
) -> None:
    wanted = SampleCollection.load(targets, columns=("embeddings",), required=True)
    SampleCollection(
        latents=None,
        embeddings=wanted.embeddings,
        identities=wanted.identities,
        labels=wanted.labels,
        generator=settings["generator_name"],
        recognition=wanted.recognition,
        settings=settings,
    ).save(samples)
    write_angles(table, wanted.identities, torch.full((len(wanted),), math.nan), list(range(len(wanted))))
    save_statistics(statistics, load_statistics(packing_statistics))


if __name__ == "__main__":
    run(invert_embeddings, snakemake)
