"""`brownid invert`: faces for embeddings, the latents whose images have them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from brownid.cli import files, inverting, options, projecting
from brownid.cli.packing import Destination, check_one_network, faces_of
from brownid.runtime.errors import BrownidError

SEARCH, START = "Search", "Where the search starts"
RANDOM_FACES = 1000


def invert(
    targets: Annotated[
        Path, typer.Argument(metavar="TARGETS", help="A collection with embeddings, such as a packed one.")
    ],
    weights: options.Weights,
    output: Destination,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            rich_help_panel=options.OUTPUT,
            help=f"The faces found, with their angles; the first {inverting.SHOWN_FACES}.",
        ),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option(
            metavar="H5",
            rich_help_panel=START,
            help="Random faces of the generator, latents and embeddings: those labelled gallery, or all.",
        ),
    ] = None,
    random_faces: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=START, help=f"Without --faces, draw so many. Default: {RANDOM_FACES}."),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            rich_help_panel=START, help="gallery: the nearest random faces; regression: a linear guess, then these."
        ),
    ] = "gallery",
    attempts: Annotated[
        int, typer.Option(min=1, rich_help_panel=START, help="Starts of each target; the one that ends nearest counts.")
    ] = 1,
    iterations: Annotated[
        int, typer.Option(min=0, rich_help_panel=SEARCH, help="Updates; 0: the start itself, as a control.")
    ] = 200,
    learning_rate: Annotated[
        float, typer.Option(rich_help_panel=SEARCH, help="Of Adam, in latent units an update.")
    ] = 0.05,
    latent_weight: Annotated[
        float, typer.Option(rich_help_panel=SEARCH, help="How much latents are held near the mean face; 0: not.")
    ] = 0.1,
    maximum_angle: Annotated[
        float | None,
        typer.Option(rich_help_panel=SEARCH, help="Radians; what ends farther away is left out. Default: nothing is."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Faces side by side; fewer where the memory runs out.")
    ] = projecting.BATCH_SIZE,
    template: Annotated[
        str | None, typer.Option(help=f"How crops are aligned: {options.TEMPLATES}. Default: as FACES, else arcface.")
    ] = None,
    identities: options.Identities = None,
    label: options.Labels = None,
    seed: options.Seed = 1,
    network_family: options.NetworkFamily = None,
    architecture: options.Architecture = None,
    reads_bytes: options.ReadsBytes = None,
    colour_order: options.ColourOrder = None,
    network_name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=options.NETWORK,
            help="What the collection calls the network. Default: as TARGETS, else the weights' file name.",
        ),
    ] = None,
    precision: options.Precision = "float32",
    generator: options.Family = None,
    factory: options.Factory = None,
    side: options.Side = None,
    world_seed: options.WorldSeed = None,
    setting: options.GeneratorSettings = None,
    generator_name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=options.GENERATOR,
            help="What the collection calls the generator. Default: as FACES, else its family.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Find latents whose faces have given embeddings.

    HyperFace's second half, after `brownid pack`. Random faces say where each
    search starts; the more of them, the better. Not every embedding is that of
    a face: the angle that remains is printed, and kept as target_angle.

    Examples:
    brownid invert packed.h5 --faces faces.h5 -w network.safetensors -o found.h5
    brownid invert packed.h5 -w network.safetensors --maximum-angle 0.8 \\
      --iterations 50 -o found.h5 --sheet found.png
    """
    from brownid.hyperface.inversion import found_references, reached, search
    from brownid.hyperface.settings import InversionSettings
    from brownid.runtime.files import sha256

    for path in (output, sheet):
        files.check_new_file(path, overwrite)
    if faces is not None and random_faces is not None:
        raise BrownidError("--random-faces draws faces where there is no collection of them: leave it out, or --faces.")
    inversion = InversionSettings(
        iterations=iterations,
        learning_rate=learning_rate,
        latent_weight=latent_weight,
        maximum_angle=maximum_angle,
        start=start,
        attempts=attempts,
    )
    wanted = inverting.wanted_embeddings(targets, identities, label)
    gallery = None if faces is None else faces_of(faces, "gallery", ("latents", "embeddings"))
    if gallery is not None:
        check_one_network({targets: wanted, faces: gallery})
    source = wanted if gallery is None else gallery
    spec = options.generator_spec(generator, factory, side, world_seed, setting, source)
    named = generator_name or ("" if gallery is None else gallery.generator)
    template = template or inverting.recorded_template(source)
    network = {"family": network_family, "architecture": architecture, "template": template, "precision": precision}
    network |= {"reads_bytes": reads_bytes, "colour_order": colour_order}
    model = inverting.face_model(spec, network, weights)
    inverting.check_targets(model, wanted, targets, weights)
    sums = {"targets": targets, "faces": faces, "weights": weights}
    settings: dict[str, Any] = {
        "generator": spec,
        "generator_name": options.generator_name(named, spec),
        "network_name": network_name or wanted.recognition or weights.stem,
        **{f"{name}_sha256": path and sha256(path) for name, path in sums.items()},
        "network": {"template": template, "precision": precision},
        "random_faces": None if faces else random_faces or RANDOM_FACES,
        "inversion": asdict(inversion),
        "seed": seed,
    }
    if gallery is None:
        gallery = inverting.draw_faces(model, settings["random_faces"], seed, batch_size)
    else:
        inverting.check_faces(model, gallery, faces, seed)
    typer.echo(f"Looking for {len(wanted)} faces, {iterations} iterations ...", err=True)
    found = search(model, wanted, gallery, inversion, seed=seed, batch_size=batch_size)
    names = inverting.names(wanted)
    kept = reached(found.angles, inversion, names)
    for line in inverting.report(found, kept, names, maximum_angle):
        typer.echo(line)
    result = found_references(settings, wanted, found, kept)
    result.save(output)
    files.wrote(output, f"{len(kept)} latents, {len(wanted) - len(kept)} targets not reached")
    if sheet is not None:
        inverting.show(model, result, seed, sheet)
        files.wrote(sheet)
