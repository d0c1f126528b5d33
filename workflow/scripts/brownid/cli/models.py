"""`brownid models`: published files of networks, made ready for this program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import files, options

app = typer.Typer(
    name="models", no_args_is_help=True, help="Convert published files of generators.", rich_markup_mode="rich"
)


@app.command()
def convert(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="A generator: NVIDIA's .pkl, rosinality's .pt, or .safetensors.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="SAFETENSORS", rich_help_panel=options.OUTPUT, help="The file to write."
        ),
    ],
    overwrite: options.Overwrite = False,
) -> None:
    """Read a published generator, execute nothing in it, and write its weights.

    Of a training snapshot, the averaged generator (G_ema) is taken.

    Example:
    brownid models convert stylegan2-ffhq-256x256.pkl -o ffhq-256.safetensors
    """
    from brownid.files import sha256
    from brownid.generators import checkpoints

    files.check_new_file(output, overwrite)
    content = checkpoints.convert(path, output)
    files.wrote(output, content.family)
    count = sum(tensor.numel() for tensor in content.state.values())
    facts = {
        "resolution": f"{content.resolution} pixels",
        "parameters": f"{count} numbers in {len(content.state)} tensors, buffers included",
        "sha256": sha256(output),
        "source": content.source,
    }
    for name, value in facts.items():
        typer.echo(f"  {name + ':':<12} {value}")
