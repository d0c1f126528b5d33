"""Random faces of a generator with their embeddings: the start and the gallery of a packing, and of inversion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.dynamics.passes import Passes
from brownid.errors import BrownidError
from brownid.jobs.drawing import random_latents
from brownid.jobs.models import load_face_model
from brownid.runtime import progress
from brownid.samples.collection import SampleCollection

PURPOSES = {"start": "references/start", "gallery": "hyperface/gallery"}
BLOCK = 1024  # faces between two steps of the progress bar


def embed_faces(settings: Mapping[str, Any], *, weights: Path, samples: Path, batch_size: int = 64) -> None:
    """Write the latents and embeddings of `settings["faces"]`: so many with the label "start", so many "gallery".

    The faces of "start" are those of a random references entry; identities count from 0 under each label.
    """
    model = load_face_model(settings, weights)
    passes = Passes(model, batch_size, settings["seed"])
    latents, embeddings = [], []
    for label, count in settings["faces"].items():
        for first in progress(range(0, count, BLOCK), f"{label} faces", "block"):
            items = range(first, min(first + BLOCK, count))
            truncation, seed = settings["truncation"], settings["seed"]
            drawn = random_latents(model.generator, items, truncation, seed, purpose=PURPOSES[label])
            latents.append(drawn)
            embeddings.append(passes.embed(drawn, items))
    counts = settings["faces"].values()
    SampleCollection(
        latents=torch.cat(latents),
        embeddings=torch.cat(embeddings),
        identities=np.concatenate([np.arange(count) for count in counts]),
        labels=[label for label, count in settings["faces"].items() for _ in range(count)],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)


def load_faces(path: Path, label: str, *, count: int | None = None) -> SampleCollection:
    """The faces of a label in what `embed_faces` wrote; any other collection serves as a whole.

    `count` takes the first ones, and raises `BrownidError` where there are fewer.
    """
    collection = SampleCollection.load(path, columns=("latents", "embeddings"))
    if label in collection.label_codes[1]:
        collection = collection.of_label(label)
    if count is not None:
        if len(collection) < count:
            raise BrownidError(
                f"{path} has {len(collection)} embeddings, but {count} are needed as {label}: make it larger, ask for "
                "fewer identities, or set gallery_size to what there is."
            )
        collection = collection.rows(range(count))
    try:
        return collection.require("embeddings")
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None
