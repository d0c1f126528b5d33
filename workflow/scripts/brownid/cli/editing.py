"""`brownid edit`: latents moved along covariates, one controlled change at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from brownid.cli import files, options, settings
from brownid.covariates.settings import EditingSettings
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import default_device

if TYPE_CHECKING:
    from brownid.covariates.directions import Covariate
    from brownid.generators.protocol import Generator
    from brownid.samples.collection import SampleCollection

NEUTRAL, ORIGINAL = "neutral", "original"
SHOWN_IDENTITIES = 20  # rows of the sheet


SETTINGS = {"": settings.of(EditingSettings), "generator": settings.generator}

Edits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="neutral, pose, illumination, smile, scream, disgust, squint or surprise; may be repeated.",
    ),
]


def edit(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="A collection with latents.")],
    covariates: Annotated[Path, typer.Argument(metavar="COVARIATES", help="A covariates.h5 of the same generator.")],
    output: options.OptionalOutput = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            rich_help_panel=options.OUTPUT,
            help=f"Originals and edits side by side, of the first {SHOWN_IDENTITIES} identities.",
        ),
    ] = None,
    only: Edits = None,
    identities: options.Identities = None,
    label: options.Labels = None,
    generator: options.GeneratorChoice = None,
    setting: settings.Given = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Edit latents along covariates: pose, light, expression.

    Every latent is first given a frontal pose, frontal light and a neutral
    mouth (label neutral); all other edits start there. An identity takes part
    with one sample, its reference unless --label says otherwise.

    Examples:
    brownid edit samples.h5 covariates.h5 --identities 0-4 --sheet edits.png
    brownid edit samples.h5 covariates.h5 --only pose --set steps=9 -o poses.h5
    """
    from brownid.covariates.directions import load_covariates

    chosen = settings.read(setting, SETTINGS)
    if output is None and sheet is None:
        raise BrownidError("There is nothing to write: give --output FILE.h5, --sheet FILE.png, or both.")
    files.check_new_files(overwrite, output, sheet)
    loaded = options.loaded(samples, identities, label, columns=("latents",))
    originals = _one_each(loaded, samples)
    fitted = load_covariates(covariates, generator=originals.generator or None)
    widths = {len(covariate.normal) for covariate in fitted.values()}
    width = originals.columns()["latents"].shape[1]
    if widths - {width}:
        raise BrownidError(
            f"{covariates}: its covariates have {max(widths)} numbers, the latents of {samples} "
            f"{width}: they are of different generators."
        )
    edited = _edited(originals, fitted, only, EditingSettings(**chosen[""]))
    if sheet is not None:
        spec = options.generator_spec(generator, chosen["generator"], originals)
        _show_edits(spec, originals, edited, samples, sheet)
        files.wrote(sheet)
    if output is not None:
        edited.save(output)
        files.wrote(output, f"{len(edited)} latents of {len(originals)} identities")


def _one_each(collection: SampleCollection, path: Path) -> SampleCollection:
    """One sample per identity: all of them, or the references where there are more."""
    import numpy as np

    from brownid.samples.collection import REFERENCE

    if collection.latents is None or not len(collection):
        raise BrownidError(f"{path}: there are no latents in this collection, so there is nothing to edit.")
    if len(np.unique(collection.identities)) == len(collection):
        return collection
    if REFERENCE not in collection.labels:
        raise BrownidError(f"{path}: an identity has several samples, and none is its {REFERENCE}: choose one --label.")
    return collection.of_label(REFERENCE)


def _edited(
    originals: SampleCollection,
    covariates: Mapping[str, Covariate],
    only: Sequence[str] | None,
    editing: EditingSettings,
) -> SampleCollection:
    """The neutral latent and the edits of every original, identity by identity."""
    import numpy as np

    from brownid.covariates.directions import EXPRESSIONS, SWEPT, edit_references, neutralise

    known = (NEUTRAL, *SWEPT, *EXPRESSIONS)
    unknown = set(only or ()) - set(known)
    if unknown:
        raise BrownidError(f"--only {sorted(unknown)[0]}: there is no such edit; choose among {', '.join(known)}.")
    before = originals.columns()["latents"]
    moved, names = edit_references(before, covariates, editing)
    latents = np.concatenate([neutralise(before, covariates)[:, None], moved], axis=1)
    names = [NEUTRAL, *names]
    # sweeps are labelled pose_0, pose_1, ...; no other edit has an underscore in its name
    kept = [place for place, name in enumerate(names) if not only or name.split("_")[0] in only]
    return type(originals)(
        latents=latents[:, kept].reshape(-1, latents.shape[-1]).astype(before.dtype),
        embeddings=None,
        identities=np.repeat(originals.identities, len(kept)),
        labels=[names[place] for place in kept] * len(originals),
        generator=originals.generator,
        recognition=originals.recognition,
        settings={**originals.settings, "edit": {"only": list(only or ()), **asdict(editing)}},
    )


def _show_edits(
    spec: Mapping[str, Any], originals: SampleCollection, edited: SampleCollection, samples: Path, path: Path
) -> None:
    """Draw one row per identity: the original, then its edits."""
    import torch

    from brownid.facemodel.loading import load_generator, render
    from brownid.figures.faces import image_grid

    generator = cast("Generator", load_generator(spec, default_device()))
    before, after = originals.columns()["latents"], edited.columns()["latents"]
    options.check_latents(generator, before, samples)
    edits = len(edited) // len(originals)
    rows = []
    for row in range(min(len(originals), SHOWN_IDENTITIES)):
        own = [before[row : row + 1], after[row * edits : (row + 1) * edits]]
        latents = torch.cat([torch.from_numpy(part).to(generator.latent_mean) for part in own])
        rows.append(list(render(generator, torch.nn.Identity(), latents)))
    image_grid(
        rows,
        path,
        row_labels=[f"{identity:05}" for identity in originals.identities[: len(rows)]],
        column_labels=[ORIGINAL, *edited.labels[:edits]],
    )
