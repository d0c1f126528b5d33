"""`brownid invert`: faces for embeddings, the latents whose images have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from brownid.cli import files, options, settings
from brownid.cli.packing import check_one_network, faces_of
from brownid.configuration.hyperface import FAMILIES_WITHOUT_GRADIENTS
from brownid.hyperface.settings import InversionSettings
from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.hyperface.inversion import Inversion
    from brownid.samples.collection import SampleCollection

RANDOM_FACES = 1000
TRUNCATION = 0.7  # of random faces, the default of the config
TRIED = 8  # faces that are embedded again, to see whether generator and network are theirs
DIFFERENT = 0.5  # radians; on the embedded world rounding makes 0.02, another template 0.8, another world 1.3
SHOWN_FACES = 200  # on the sheet
SETTINGS = {"": settings.of(InversionSettings), "generator": settings.generator, "network": settings.network}

Sheet = Annotated[
    Path | None,
    typer.Option(
        metavar="PNG",
        rich_help_panel=options.OUTPUT,
        help=f"The faces found, with their angles; the first {SHOWN_FACES}.",
    ),
]
Faces = Annotated[
    Path | None,
    typer.Option(
        metavar="H5", help="Random faces of the generator, latents and embeddings: those labelled gallery, or all."
    ),
]
Drawn = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", min=1, help=f"Random faces to draw without --faces. Default: {RANDOM_FACES}."),
]
BatchSize = Annotated[
    int, typer.Option(metavar="NUMBER", min=1, help="Faces per batch; fewer where the memory runs out.")
]


def invert(
    targets: Annotated[
        Path, typer.Argument(metavar="TARGETS", help="A collection with embeddings, such as a packed one.")
    ],
    weights: options.Weights,
    output: options.Output,
    sheet: Sheet = None,
    faces: Faces = None,
    random_faces: Drawn = None,
    batch_size: BatchSize = 64,
    identities: options.Identities = None,
    label: options.Labels = None,
    seed: options.Seed = 1,
    generator: options.GeneratorChoice = None,
    setting: settings.Given = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Find latents whose faces have given embeddings.

    HyperFace's second half, after `brownid pack`. Random faces say where each
    search starts; the more of them, the better. Not every embedding is that of
    a face: the angle that remains is printed, and kept as target_angle. Names
    and template of generator and network are those that FACES or TARGETS record.

    Examples:
    brownid invert packed.h5 --faces faces.h5 -w network.safetensors -o found.h5
    brownid invert packed.h5 -w network.safetensors --set maximum_angle=0.8 \\
      --set iterations=50 -o found.h5 --sheet found.png
    """
    from brownid.hyperface.inversion import found_references, reached, search

    files.check_new_files(overwrite, output, sheet)
    if faces is not None and random_faces is not None:
        raise BrownidError("--random-faces draws faces where there is no collection of them: leave it out, or --faces.")
    chosen = settings.read(setting, SETTINGS)
    inversion = InversionSettings(**chosen[""])
    wanted = _wanted_embeddings(targets, identities, label)
    gallery = None if faces is None else _gallery(faces, targets, wanted)
    source = wanted if gallery is None else gallery
    spec = options.generator_spec(generator, chosen["generator"], source)
    network = options.network_spec(_recorded_template(source) | chosen["network"])
    model = _face_model(spec, network, weights)
    _check_targets(model, wanted, targets, weights)
    recorded = {
        "generator": spec,
        "generator_name": options.generator_name(chosen["generator"], spec, gallery.generator if gallery else ""),
        "network_name": chosen["network"].get("name") or wanted.recognition or weights.stem,
        **files.checksums(targets=targets, faces=faces, weights=weights),
        "network": {name: network[name] for name in ("template", "precision")},
        "random_faces": None if faces else random_faces or RANDOM_FACES,
        "inversion": asdict(inversion),
        "seed": seed,
    }
    if gallery is None:
        gallery = draw_faces(model, random_faces or RANDOM_FACES, seed, batch_size)
    else:
        _check_faces(model, gallery, cast(Path, faces), seed)
    typer.echo(f"Looking for {len(wanted)} faces, {inversion.iterations} iterations ...", err=True)
    found = search(model, wanted, gallery, inversion, seed=seed, batch_size=batch_size)
    names = _names(wanted)
    kept = reached(found.angles, inversion, names)
    for line in _report(found, kept, names, inversion.maximum_angle):
        typer.echo(line)
    result = found_references(recorded, wanted, found, kept)
    result.save(output)
    files.wrote(output, f"{len(kept)} latents, {len(wanted) - len(kept)} targets not reached")
    if sheet is not None:
        _show(model, result, seed, sheet)
        files.wrote(sheet)


def _wanted_embeddings(path: Path, identities: str | None, labels: Sequence[str] | None) -> SampleCollection:
    """The samples of a file that faces are looked for; each has an embedding."""
    wanted = options.loaded(path, identities, labels, columns=("embeddings",))
    if not len(wanted):
        raise BrownidError(f"{path}: there are no samples in this collection.")
    try:
        return wanted.require("embeddings")
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None


def _gallery(faces: Path, targets: Path, wanted: SampleCollection) -> SampleCollection:
    """The random faces of a file, of the network of the targets."""
    gallery = faces_of(faces, "gallery", ("latents", "embeddings"))
    check_one_network({targets: wanted, faces: gallery})
    return gallery


def _recorded_template(collection: SampleCollection) -> dict[str, Any]:
    """Alignment template that a collection records for its crops, as a setting of the network."""
    network = collection.settings.get("network")
    template = network.get("template") if isinstance(network, Mapping) else None
    return {"template": str(template)} if template else {}


def _face_model(spec: Mapping[str, Any], network: Mapping[str, Any], weights: Path) -> GeneratorFaceModel:
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


def _check_targets(model: GeneratorFaceModel, wanted: SampleCollection, path: Path, weights: Path) -> None:
    """Refuse targets of another width than the network's embeddings."""
    width, made = wanted.columns()["embeddings"].shape[1], model.network.description.embedding_dim
    if width != made:
        raise BrownidError(
            f"{path}: its embeddings have {width} numbers, those of {weights} {made}: they are of another network."
        )


def _check_faces(model: GeneratorFaceModel, faces: SampleCollection, path: Path, seed: int) -> None:
    """Refuse random faces whose embeddings are not those that the face model gives their latents."""
    import numpy as np
    import torch

    from brownid.embeddings.distances import row_angles, unit_rows
    from brownid.facemodel.batched import BatchedFaceModel

    options.check_latents(model.generator, faces.columns()["latents"], path)
    few = faces.rows(range(min(TRIED, len(faces))))
    latents = torch.from_numpy(few.latents).to(model.latent_mean)
    again = BatchedFaceModel(model, TRIED, seed).embed(latents, few.identities.tolist()).cpu().numpy()
    angle = float(np.median(row_angles(unit_rows(few.columns()["embeddings"]), unit_rows(again))))
    if angle > DIFFERENT:
        raise BrownidError(
            f"{path}: its faces, embedded again, are {angle:.2f} radians from the embeddings that it has of them: name "
            "the generator, the network's --weights and the --set network.template=... that it was made with."
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


def _names(wanted: SampleCollection) -> list[str]:
    """Name of each target: its identity, with its label if there are several."""
    if len(wanted.label_codes[1]) > 1:
        return [wanted.describe(row) for row in range(len(wanted))]
    return [f"identity {identity}" for identity in wanted.identities]


def _report(found: Inversion, kept: Sequence[int], targets: Sequence[str], limit: float | None) -> list[str]:
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


def _show(model: GeneratorFaceModel, found: SampleCollection, seed: int, path: Path) -> None:
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
