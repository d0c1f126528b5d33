"""Random faces of a generator with their embeddings: the start and the gallery of a packing, and of inversion."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.dynamics.passes import Passes
from brownid.errors import BrownidError
from brownid.jobs.drawing import random_latents
from brownid.jobs.models import load_face_model
from brownid.recognition.facemodel import FaceModel
from brownid.runtime import progress
from brownid.samples.collection import SampleCollection

PURPOSES = {"start": "references/start", "gallery": "hyperface/gallery"}
BLOCK = 1024  # faces between two steps of the progress bar


def embed_faces(settings: Mapping[str, Any], *, weights: Path, samples: Path, batch_size: int = 64) -> None:
    """Write the latents and embeddings of `settings["faces"]`: so many with the label "start", so many "gallery".

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


def draw_faces(
    model: FaceModel, label: str, count: int, truncation: float, seed: int, batch_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents `[count, D]` and embeddings `[count, E]` of the random faces with a label."""
    passes = Passes(model, batch_size, seed)
    latents = random_latents(model.generator, range(count), truncation, seed, purpose=PURPOSES[label])
    blocks = [range(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]
    shown = progress(blocks, f"{label} faces", "block")
    return latents, torch.cat([passes.embed(latents[block.start : block.stop], block) for block in shown])


def load_faces(
    path: Path, label: str, *, count: int | None = None, columns: Collection[str] = ("embeddings",)
) -> SampleCollection:
    """The faces of a label in what `embed_faces` wrote; any other collection serves as a whole.

    `columns` are what is read and must be there, `count` takes the first ones, and raises `BrownidError` where there
    are fewer.
    """
    collection = SampleCollection.load(path, columns=columns)
    if label in collection.label_codes[1]:
        collection = collection.of_label(label)
    if count is not None:
        if len(collection) < count:
            remedy = ", or set gallery_size to what there is" if label == "gallery" else ""
            raise BrownidError(
                f"{path} has {len(collection)} embeddings, but {count} are needed as {label}: make it larger, ask for "
                f"fewer identities{remedy}."
            )
        collection = collection.rows(range(count))
    try:
        return collection.require(*columns)
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None
