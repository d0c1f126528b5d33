"""`brownid init`: a first configuration for the files that a user has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import files, options
from brownid.runtime.errors import BrownidError, one_line

IDENTITIES, VARIATIONS = 1000, 16


def init(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="YAML", rich_help_panel=options.OUTPUT, help="The configuration to write."
        ),
    ],
    generator: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|MODULE:FUNCTION",
            help="A StyleGAN2 or StyleGAN3 (.pkl, .pt, .safetensors), or a function of your own.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights of an FR network: .pt, .pth, .ckpt, .safetensors or .onnx."),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="The embedded world instead, which needs no files.")
    ] = False,
    photographs: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Genuine images. With a generator, its identities stay away from these; alone, a network is trained.",
        ),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Finds the faces in photographs: YuNet's ONNX file, or P-Net, R-Net and O-Net."
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(metavar="BIN", help="An insightface .bin file to score networks on; may be repeated."),
    ] = None,
    identities: Annotated[int, typer.Option(metavar="NUMBER", min=2, help="Identities to make.")] = IDENTITIES,
    variations: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Variations of each identity.")] = VARIATIONS,
) -> None:
    """Write a small, commented configuration for what you have.

    Family, resolution, input size and the way images are filed are found in the
    files; nothing is asked. An existing file is never replaced.

    Examples:
    brownid init --embedded --identities 100 -o first.yaml
    brownid init --generator my.pkl --network backbone.pth -o mine.yaml
    brownid init --generator my.pkl --network arc.pt --benchmark lfw.bin -o mine.yaml
    brownid init --photographs people --detector yunet.onnx -o people.yaml
    """
    from brownid.planning.initial import Sources, initial_configuration
    from brownid.runtime.files import atomic_path

    if output.exists():
        raise BrownidError(f"{output} exists already, and is not replaced: name another file.")
    sources = Sources(
        generator=generator,
        network=network,
        photographs=photographs,
        detector_files=detector or (),
        benchmarks=benchmark or (),
        embedded=embedded,
        identities=identities,
        variations=variations,
    )
    initial = initial_configuration(sources)
    with atomic_path(output) as temporary:
        temporary.write_text(initial.text.replace("THIS_FILE", one_line(output)), encoding="utf-8")
    files.wrote(output)
    for name, what in initial.found.items():
        typer.echo(f"  {name + ':':<14} {what}")
    target = " images" * bool(generator or embedded)
    typer.echo(f"next: snakemake{target} --profile profiles/local --configfile {output}")
