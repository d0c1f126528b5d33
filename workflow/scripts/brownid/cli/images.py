"""`brownid generate`: faces from a seed or from the latents of a collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from brownid.cli import files, options, settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import default_device, progress

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from brownid.generators.protocol import Generator
    from brownid.samples.collection import SampleCollection

BATCH_SIZE = 64
COUNT, TRUNCATION, DIRECTIONS = 16, 0.7, 10
SHEET_LIMIT = 1000  # images on one contact sheet


SETTINGS = {"generator": settings.generator}

Folder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="New folder, a PNG per image."
    ),
]
Sheet = Annotated[
    Path | None, typer.Option(metavar="PNG", rich_help_panel=options.OUTPUT, help="All images on one sheet.")
]
Drawn = Annotated[
    Path | None, typer.Option(metavar="H5", rich_help_panel=options.OUTPUT, help="The latents drawn, as a collection.")
]
Count = Annotated[
    int | None, typer.Option(metavar="NUMBER", min=1, help=f"Images to draw from the seed. Default: {COUNT}.")
]
Truncation = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER", min=0, help=f"Pull towards the mean face: 0 all alike, 1 none. Default: {TRUNCATION}."
    ),
]
WithinClass = Annotated[
    Path | None,
    typer.Option(
        metavar="H5",
        help="Leave out the leading directions of this within_class.h5 (nuisance_projection of references).",
    ),
]
Directions = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", min=1, help=f"How many of these to leave out. Default: {DIRECTIONS}."),
]
Samples = Annotated[
    Path | None, typer.Option(metavar="H5", help="Take the latents from this collection, not from the seed.")
]
Template = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"Crop for recognition: {options.TEMPLATES}. Default: the whole generated image."
    ),
]
CropSize = Annotated[
    int | None,
    typer.Option(metavar="PIXELS", min=1, help="Side of the crop. Default: that of the generated image."),
]


def generate(
    output: Folder = None,
    sheet: Sheet = None,
    save_samples: Drawn = None,
    count: Count = None,
    seed: options.Seed = 1,
    truncation: Truncation = None,
    within_class: WithinClass = None,
    directions: Directions = None,
    samples: Samples = None,
    identities: options.Identities = None,
    label: options.Labels = None,
    template: Template = None,
    crop_size: CropSize = None,
    generator: options.GeneratorChoice = None,
    setting: settings.Given = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Generate faces from a seed, or from a collection of latents.

    Image i of a seed is the random start of identity i in the workflow. Images
    of a collection are named IDENTITY/LABEL.png, as in a release.

    Examples:
    brownid generate --count 24 --seed 1 --sheet faces.png
    brownid generate --count 100 -o faces --save-samples faces.h5
    brownid generate --count 24 --within-class within_class.h5 --sheet neutral.png
    brownid generate --samples samples.h5 --identities 0-9 --sheet ten.png
    brownid generate --samples samples.h5 --template arcface -o aligned
    brownid generate --generator ffhq.pkl --set generator.noise=fixed --sheet gan.png
    """
    import torch

    from brownid.facemodel.loading import crop_for, load_generator

    if output is None and sheet is None and save_samples is None:
        raise BrownidError("There is nothing to write: give --output FOLDER, --sheet FILE.png, or both.")
    if samples is not None and (count, truncation, save_samples, within_class) != (None, None, None, None):
        raise BrownidError(
            "--count, --truncation, --within-class and --save-samples are for faces from a seed, not for --samples."
        )
    if directions is not None and within_class is None:
        raise BrownidError("--directions is a number of within-class directions: name their file by --within-class.")
    files.check_new_folder(output)
    files.check_new_files(overwrite, sheet, save_samples)
    collection = None if samples is None else _latents_of(samples, identities, label)
    given = settings.read(setting, SETTINGS)["generator"]
    spec = options.generator_spec(generator, given, collection)
    model = cast("Generator", load_generator(spec, default_device()))
    if collection is None:
        name = options.generator_name(given, spec)
        truncation = TRUNCATION if truncation is None else truncation
        left_out = None if within_class is None else (within_class, directions or DIRECTIONS)
        collection = _draw(model, spec, name, seed, count or COUNT, truncation, left_out)
    elif samples is not None:
        options.check_latents(model, collection.rendered_latents(), samples)
    if sheet is not None and len(collection) > SHEET_LIMIT:
        raise BrownidError(f"{len(collection)} images are too many for one sheet: choose {SHEET_LIMIT} at most.")
    crop: torch.nn.Module = torch.nn.Identity()
    if template is not None or crop_size is not None:
        crop = crop_for(model, template or "arcface", crop_size or model.resolution)
    if output is not None or sheet is not None:
        rendered = _rendered(model, crop, collection.rendered_latents())
        _write_images(collection, rendered, output, sheet, flat=samples is None)
    if save_samples is not None:
        collection.save(save_samples)
        files.wrote(save_samples, f"{len(collection)} latents")


def show(collection: SampleCollection, images: Sequence[np.ndarray], path: Path) -> None:
    """Draw the images of a collection: one row per identity where identities have several, else one after the other."""
    import numpy as np

    from brownid.figures.faces import contact_sheet, image_grid

    identities, first, counts = np.unique(collection.identities, return_index=True, return_counts=True)
    if counts.max() == 1:
        contact_sheet(np.stack(images), path, captions=[f"{identity:05}" for identity in collection.identities])
        return
    rows = [np.flatnonzero(collection.identities == identity) for identity in identities[np.argsort(first)]]
    labels = [[collection.labels[row] for row in members] for members in rows]
    image_grid(
        [[images[int(row)] for row in members] for members in rows],
        path,
        row_labels=[f"{collection.identities[members[0]]:05}" for members in rows],
        column_labels=labels[0] if all(own == labels[0] for own in labels) else None,
    )


def _latents_of(path: Path, identities: str | None, labels: list[str] | None) -> SampleCollection:
    collection = options.loaded(path, identities, labels, columns=("latents", "extra"))
    if collection.latents is None or not len(collection):
        raise BrownidError(f"{path}: there are no latents in this collection, so there is nothing to render.")
    return collection


def _draw(
    model: Generator,
    spec: dict[str, object],
    name: str,
    seed: int,
    count: int,
    truncation: float,
    left_out: tuple[Path, int] | None,
) -> SampleCollection:
    """Random latents as the workflow starts its references from, projected where directions are left out."""
    import numpy as np
    import torch

    from brownid.covariates.within_class import load_within_class
    from brownid.dynamics.steps import NuisanceProjection
    from brownid.facemodel.loading import random_latents
    from brownid.samples.collection import REFERENCE, SampleCollection

    latents = random_latents(model, range(count), truncation, seed)
    made_by: dict[str, object] = {"generator": spec, "seed": seed, "truncation": truncation}
    if left_out is not None:
        path, directions = left_out
        found = load_within_class(path, generator=name)
        options.check_latents(model, found.directions, path)
        leading = torch.from_numpy(found.leading(directions=directions))
        latents = NuisanceProjection(leading, model.latent_mean).latents(latents)
        made_by["nuisance_projection"] = {"within_class": str(path), "directions": directions}
    return SampleCollection(
        latents=latents,
        embeddings=None,
        identities=np.arange(count),
        labels=[REFERENCE] * count,
        generator=name,
        recognition="",
        settings=made_by,
    )


def _rendered(model: Generator, crop: nn.Module, latents: np.ndarray) -> Iterator[np.ndarray]:
    """The images uint8 `[S, S, 3]` of latents, one by one."""
    import torch

    from brownid.facemodel.loading import render

    batches: tuple[torch.Tensor, ...] = torch.from_numpy(latents).to(model.latent_mean).split(BATCH_SIZE)
    for batch in progress(batches, "render", "batch"):
        yield from render(model, crop, batch)


def _write_images(
    collection: SampleCollection, images: Iterator[np.ndarray], output: Path | None, sheet: Path | None, flat: bool
) -> None:
    from brownid.samples.published import published_labels

    labels = published_labels(collection)
    shown = []
    with ExitStack() as stack:
        folder = stack.enter_context(files.new_folder(output)) if output is not None else None
        for identity, label, image in zip(collection.identities, labels, images, strict=True):
            if folder is not None:
                files.write_png(folder / (f"{identity:05}.png" if flat else f"{identity:05}/{label}.png"), image)
            if sheet is not None:
                shown.append(image)
    if output is not None:
        files.wrote(output, f"{len(collection)} images")
    if sheet is not None:
        show(collection, shown, sheet)
        files.wrote(sheet)
