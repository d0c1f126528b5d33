"""Random faces of a generator with their embeddings: the start and the gallery of a packing, and of inversion."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.facemodel.loading import load_face_model
from brownid.hyperface.inversion import draw_faces
from brownid.samples.collection import SampleCollection


def embed_faces(settings: Mapping[str, Any], *, weights: Path, samples: Path, batch_size: int = 64) -> None:
    """Write latents and embeddings of random faces; `settings["faces"]` has their number by label: "start", "gallery".

    The faces of "start" are those of a random references entry; identities count from 0 through all labels.
    """
    model = load_face_model(settings, weights)
    truncation, seed = settings["truncation"], settings["seed"]
    latents, embeddings = zip(
        *(draw_faces(model, label, count, truncation, seed, batch_size) for label, count in settings["faces"].items()),
        strict=True,
    )
    counts = settings["faces"].values()
    SampleCollection(
        latents=torch.cat(latents),
        embeddings=torch.cat(embeddings),
        identities=np.arange(sum(counts)),
        labels=[label for label, count in settings["faces"].items() for _ in range(count)],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)


if __name__ == "__main__":
    run(embed_faces, snakemake)
