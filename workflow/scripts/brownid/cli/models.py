"""`brownid models`: published files of networks and databases: which there are, fetching, checking, converting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files, options, settings

if TYPE_CHECKING:
    from brownid.weights.catalogue import Model

app = typer.Typer(
    cls=settings.Group,
    name="models",
    no_args_is_help=True,
    help="Fetch, check and convert published files.",
    rich_markup_mode="rich",
)

Catalogue = Annotated[
    Path | None,
    typer.Option(metavar="YAML", help="A catalogue of your own, in the format of the project's own (the default)."),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names of the catalogue.")]


@app.command(name="list", cls=settings.Command)
def list_models(catalogue: Catalogue = None) -> None:
    """List the external files of the published experiments, and which of them are there.

    Example:
    brownid models list
    """
    models = _read(catalogue).values()
    width = max(len(model.name) for model in models)
    for model in models:
        how = "there" if _is_there(model) else "can be fetched" if model.url else "put it there by hand"
        typer.echo(f"{model.name:<{width}}  {model.path}: {how}")
        typer.echo(f"{'':<{width}}  {model.what}")
        typer.echo(f"{'':<{width}}  {model.source}")
        typer.echo(f"{'':<{width}}  licence: {model.licence}")


@app.command(cls=settings.Command)
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of the catalogue.")],
    catalogue: Catalogue = None,
) -> None:
    """Fetch published files to where configurations look for them; each appears there whole and checked or not at all.

    What is there and right stays. By fetching a file you accept its licence.

    Example:
    brownid models fetch vgg16-torchvision yunet
    """
    from brownid.runtime.errors import BrownidError
    from brownid.runtime.files import sha256
    from brownid.weights import fetching

    failures = []
    for model in _named(_read(catalogue), names):
        try:
            fetched = fetching.fetch(model)
        except BrownidError as error:
            failures.append(str(error))
            continue
        if fetched.was_there:
            typer.echo(f"{fetched.path} is there already")
            continue
        inside = sorted(path for path in fetched.path.rglob("*") if path.is_file()) or [fetched.path]
        size = sum(path.stat().st_size for path in inside)
        files.wrote(fetched.path, f"{size:,} bytes; licence: {model.licence}")
        if model.folder:
            typer.echo("".join(f"  {path.relative_to(fetched.path)}: {sha256(path)}\n" for path in inside), nl=False)
        typer.echo(f"  {fetching.trust(model)}")
        line = fetching.catalogue_line(model, fetched.sha256)
        if line is not None:
            typer.echo(f"  add to {model.name} in the catalogue, so that every later fetch is checked: {line}")
    if failures:
        raise BrownidError(" ".join(failures))


@app.command(cls=settings.Command)
def check(names: Names = None, catalogue: Catalogue = None) -> None:
    """Compare files with the sizes and SHA-256 of the catalogue: those named, or all that are there.

    Example:
    brownid models check
    """
    from brownid.runtime.errors import BrownidError
    from brownid.weights.fetching import damage

    models = _read(catalogue)
    failures = []
    for model in _named(models, names) if names else [model for model in models.values() if _is_there(model)]:
        if not _is_there(model):
            failures.append(f"{model.path} is missing")
            continue
        reason = damage(model)
        if reason is not None:
            failures.append(f"{model.path} is not {model.name}: {reason}")
        elif model.sha256:
            typer.echo(f"{model.path}: as published")
        else:
            typer.echo(f"{model.path}: there; no SHA-256 is known to compare with")
    if failures:
        raise BrownidError("; ".join(failures) + ".")


def _read(catalogue: Path | None) -> dict[str, Model]:
    from brownid.runtime.errors import BrownidError
    from brownid.weights.catalogue import read_catalogue

    models = read_catalogue(catalogue)
    if not models:
        raise BrownidError(f"{catalogue} lists no model.")
    return models


def _named(models: dict[str, Model], names: list[str]) -> list[Model]:
    from brownid.runtime.errors import BrownidError, suggestion

    for name in names:
        if name not in models:
            hint = suggestion(name, models, "`brownid models list` lists them.")
            raise BrownidError(f"The catalogue has no model {name!r}; {hint}")
    return [models[name] for name in dict.fromkeys(names)]


def _is_there(model: Model) -> bool:
    return Path(model.path).is_dir() if model.folder else Path(model.path).is_file()


@app.command(cls=settings.Command)
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
    from brownid.runtime.files import sha256
    from brownid.weights.generator_files import convert as convert_file

    files.check_new_file(output, overwrite)
    content = convert_file(path, output)
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
