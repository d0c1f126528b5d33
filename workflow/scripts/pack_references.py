"""Pack identities on the embedding hypersphere."""

from brownid.runtime.process import default_device, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.hyperface.inversion import load_faces
from brownid.hyperface.packing import pack
from brownid.hyperface.settings import PackingSettings
from brownid.jobs.distributed import SINGLE, ProcessGroup
from brownid.jobs.launch import run_in_processes
from brownid.jobs.resume import discard_state, job_state, open_state
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples.checks import current_names
from brownid.samples.collection import REFERENCE, SampleCollection
from brownid.samples.provenance import write_command
from brownid.samples.statistics import save_statistics


def pack_references(
    settings: Mapping[str, Any],
    *,
    start: Path,
    gallery: Path,
    samples: Path,
    statistics: Path,
    command: Path,
    state: Path | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
    processes: int = 1,
    launcher: str = "auto",
) -> None:
    """Write the packed embeddings of `settings["identities"]` identities, their statistics and provenance.

    `start` and `gallery` are collections of embeddings: of `embed_faces`, where their labels tell them apart, or any
    other. Resuming and `processes` are those of `sample_references`.
    """
    inputs = {str(path): sha256(path) for path in (start, gallery)}
    roles = {"start": inputs[str(start)], "gallery": inputs[str(gallery)]}
    call: dict[str, Any] = {"settings": settings, "start": str(start), "gallery": str(gallery)}
    call |= {"samples": samples, "statistics": statistics, "state": job_state(state, settings, code, roles, saving)}
    run_in_processes(pack_in_group, call, processes, launcher)
    write_command(command, settings=settings, seed=settings["seed"], inputs=inputs, command="pack_references")
    discard_state(state)


def pack_in_group(
    settings: Mapping[str, Any],
    *,
    start: Path,
    gallery: Path,
    samples: Path,
    statistics: Path,
    state: Mapping[str, Any] | None,
    group: ProcessGroup = SINGLE,
) -> None:
    """Work of each process of the job; the first one writes."""
    count, network = settings["identities"], settings["network_name"]
    try:
        result = pack(
            _embeddings(start, "start", network, count),
            _embeddings(gallery, "gallery", network, settings["gallery_size"], at_least=count),
            PackingSettings(**settings["packing"]),
            seed=settings["seed"],
            state=open_state(state),
            group=group,
        )
    except BrownidError as error:
        raise BrownidError(f"{error} The start is from {start}, the gallery from {gallery}.") from None
    if group.rank:
        return
    SampleCollection(
        latents=None,
        embeddings=result.references,
        identities=np.arange(count),
        labels=[REFERENCE] * count,
        generator="",
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)
    save_statistics(statistics, result.statistics)


def _embeddings(path: Path, label: str, network: str, count: int | None, at_least: int = 0) -> torch.Tensor:
    """Float32 embeddings `[n, E]` of a network on this machine's device: the first `count`, or all if enough."""
    faces = load_faces(path, label, count=count)
    if current_names(faces.recognition) != current_names(network):
        raise BrownidError(f"{path}: these are embeddings of {faces.recognition!r}, the packing is of {network!r}.")
    if count is None and len(faces) < at_least:
        faces = load_faces(path, label, count=at_least)  # refuses
    return torch.from_numpy(faces.embeddings).float().to(default_device())


if __name__ == "__main__":
    run(pack_references, snakemake)
