"""The steps of `brownid invert`: its targets, networks and random faces, what it tells, and the picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brownid.cli import options
from brownid.configuration.hyperface import FAMILIES_WITHOUT_GRADIENTS
from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.hyperface.inversion import Inversion
    from brownid.samples.collection import SampleCollection

TRUNCATION = 0.7  # of random faces, the default of the config
TEMPLATE = "arcface"  # likewise
TRIED = 8  # faces that are embedded again, to see whether generator and network are theirs
DIFFERENT = 0.5  # radians; on the embedded world rounding makes 0.02, another template 0.8, another world 1.3
SHOWN_FACES = 200  # on the sheet


def wanted_embeddings(path: Path, identities: str | None, labels: Sequence[str] | None) -> SampleCollection:
    """The samples of a file that faces are looked for; each has an embedding."""
    wanted = options.loaded(path, identities, labels, columns=("embeddings",))
    if not len(wanted):
        raise BrownidError(f"{path}: there are no samples in this collection.")
    try:
        return wanted.require("embeddings")
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None


def recorded_template(collection: SampleCollection) -> str:
    """How the crops of a collection were aligned, if it says so, else as ever."""
    network = collection.settings.get("network")
    return str(network.get("template") or TEMPLATE) if isinstance(network, Mapping) else TEMPLATE


def face_model(spec: Mapping[str, Any], network: Mapping[str, Any], weights: Path) -> GeneratorFaceModel:
    """Generator, crop and network, if gradients pass through them."""
    from brownid.facemodel.loading import load_face_model

    refusal = (
        f"No gradient passes through the generator {spec.get('family') or spec.get('factory')}, so that no latents can "
        "be looked for: name a procedural or StyleGAN generator, or one of your own."
    )
    if spec.get("family") in FAMILIES_WITHOUT_GRADIENTS:
        raise BrownidError(refusal)
    model = load_face_model({"generator": spec, "network": network}, weights)
    if not model.generator.differentiable:
        raise BrownidError(refusal)
    return model


def check_targets(model: GeneratorFaceModel, wanted: SampleCollection, path: Path, weights: Path) -> None:
    """Refuse targets of another width than the network's embeddings."""
    width, made = wanted.embeddings.shape[1], model.network.description.embedding_dim
    if width != made:
        raise BrownidError(
            f"{path}: its embeddings have {width} numbers, those of {weights} {made}: they are of another network."
        )


def check_faces(model: GeneratorFaceModel, faces: SampleCollection, path: Path, seed: int) -> None:
    """Refuse random faces whose embeddings are not those that the face model gives their latents."""
    import numpy as np
    import torch

    from brownid.embeddings.distances import row_angles, unit_rows
    from brownid.facemodel.batched import BatchedFaceModel

    options.check_latents(model.generator, faces.latents.shape[1], path)
    few = faces.rows(range(min(TRIED, len(faces))))
    latents = torch.from_numpy(few.latents).to(model.latent_mean)
    again = BatchedFaceModel(model, TRIED, seed).embed(latents, few.identities.tolist()).cpu().numpy()
    angle = float(np.median(row_angles(unit_rows(few.embeddings), unit_rows(again))))
    if angle > DIFFERENT:
        raise BrownidError(
            f"{path}: its faces, embedded again, are {angle:.2f} radians from the embeddings that it has of them: name "
            "the generator, the network's --weights and the --template that it was made with."
        )


def draw_faces(model: GeneratorFaceModel, count: int, seed: int, batch_size: int) -> SampleCollection:
    """Random faces, those of the gallery that the workflow draws with this seed."""
    from brownid.hyperface import inversion
    from brownid.samples.collection import SampleCollection

    latents, embeddings = inversion.draw_faces(model, "gallery", count, TRUNCATION, seed, batch_size)
    return SampleCollection(
        latents=latents,
        embeddings=embeddings,
        identities=range(count),
        labels=["gallery"] * count,
        generator="",
        recognition="",
    )


def names(wanted: SampleCollection) -> list[str]:
    """What to call each target: its identity, with its label where there are several."""
    if len(wanted.label_codes[1]) > 1:
        return [wanted.describe(row) for row in range(len(wanted))]
    return [f"identity {identity}" for identity in wanted.identities]


def report(found: Inversion, kept: Sequence[int], targets: Sequence[str], limit: float | None) -> list[str]:
    """Lines that tell how near to the targets the search came, and which of them were left out."""
    import numpy as np

    angles, left_out = found.angles.double().cpu().numpy(), sorted(set(range(len(targets))) - set(kept))
    rows = {"found": angles, "those left out": angles[left_out]} if left_out else {"found": angles}
    lines = [f"{'angle to the target (radians)':<30} {'faces':>7} {'minimum':>8} {'mean':>8} {'maximum':>8}"]
    if len(found.statistics["angle_avg"]):
        begun = [float(found.statistics[f"angle_{figure}"][0]) for figure in ("min", "avg", "max")]
        lines.append(_line("at the start of the search", found.statistics["identities"][0], begun))
    lines += [_line(name, len(own), (own.min(), np.mean(own), own.max())) for name, own in rows.items()]
    if limit is not None:
        lines.append(f"{len(kept)} of {len(targets)} are within {limit:g} radians of their targets")
    return lines + [f"left out: {targets[row]}, {angles[row]:.3f} radians" for row in left_out]


def show(model: GeneratorFaceModel, found: SampleCollection, seed: int, path: Path) -> None:
    """Draw the faces found, each with its identity and its angle to the target."""
    import numpy as np
    import torch

    from brownid.facemodel.loading import render_in_batches
    from brownid.figures.faces import contact_sheet
    from brownid.runtime.randomness import NoiseKey

    shown = found.rows(range(min(len(found), SHOWN_FACES)))
    latents, items = torch.from_numpy(shown.latents).to(model.latent_mean), shown.identities.tolist()
    images = list(render_in_batches(model.generator, torch.nn.Identity(), latents, NoiseKey(seed, items, None)))
    angles = shown.extra["target_angle"]
    captions = [f"{identity:05}  {angle:.2f} rad" for identity, angle in zip(items, angles, strict=True)]
    contact_sheet(np.concatenate(images), path, captions=captions)


def _line(name: str, count: float, figures: Sequence[float]) -> str:
    return f"{name:<30} {count:>7.0f} " + " ".join(f"{figure:>8.3f}" for figure in figures)
