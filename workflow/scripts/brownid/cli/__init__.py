"""The `brownid` command: what the workflow does to whole datasets, on single items."""

import logging
from typing import Annotated, Any

import typer

from brownid import __version__
from brownid.cli import (
    accept,
    audit,
    crops,
    doctor,
    editing,
    embeddings,
    estimate,
    export,
    images,
    init,
    inversion,
    models,
    packing,
    plots,
    projection,
    publish,
    release,
    report,
    samples,
    score,
    settings,
    train,
)
from brownid.runtime.errors import sentence_of
from brownid.runtime.process import set_process_environment

ORDER = (
    "init",
    "doctor",
    "estimate",
    "accept",
    "settings",
    "models",
    "generate",
    "crop",
    "embed",
    "project",
    "edit",
    "pack",
    "invert",
    "samples",
    "plot",
    "audit",
    "export",
    "train",
    "score",
    "report",
    "verify",
    "publish",
)  # of use


class Commands(settings.Group):
    """A group of commands whose mistakes end in one sentence on stderr and exit status 1, without a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of use, which is also the order of their groups in the help."""
        return sorted(self.commands, key=ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an unexpected exception keeps its traceback."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
        typer.echo(f"brownid: {sentence}", err=True)
        raise typer.Exit(1)


app = typer.Typer(
    name="brownid",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)

SETUP, FACES, LATENTS, COLLECTIONS, RESULTS = "Setup", "Faces", "Latents", "Collections", "Results"
app.command(cls=settings.Command, rich_help_panel=SETUP)(init.init)
app.command(cls=settings.Command, rich_help_panel=SETUP)(doctor.doctor)
app.command(cls=settings.Command, rich_help_panel=SETUP)(estimate.estimate)
app.command(cls=settings.Command, rich_help_panel=SETUP)(accept.accept)
app.command("settings", cls=settings.Command, rich_help_panel=SETUP)(settings.show)
app.add_typer(models.app, rich_help_panel=SETUP)
app.command(cls=settings.command(images.SETTINGS), rich_help_panel=FACES)(images.generate)
app.command(cls=settings.command(crops.SETTINGS), rich_help_panel=FACES)(crops.crop)
app.command(cls=settings.command(embeddings.SETTINGS), rich_help_panel=FACES)(embeddings.embed)
app.command(cls=settings.command(projection.SETTINGS), rich_help_panel=LATENTS)(projection.project)
app.command(cls=settings.command(editing.SETTINGS), rich_help_panel=LATENTS)(editing.edit)
app.command(cls=settings.command(packing.SETTINGS), rich_help_panel=LATENTS)(packing.pack)
app.command(cls=settings.command(inversion.SETTINGS), rich_help_panel=LATENTS)(inversion.invert)
app.add_typer(samples.app, rich_help_panel=COLLECTIONS)
app.add_typer(plots.app, rich_help_panel=RESULTS)
app.command(cls=settings.command(audit.SETTINGS), rich_help_panel=RESULTS)(audit.audit)
app.command(cls=settings.Command, rich_help_panel=RESULTS)(export.export)
app.command(cls=settings.command(train.SETTINGS), rich_help_panel=RESULTS)(train.train)
app.command(cls=settings.command(score.SETTINGS), rich_help_panel=RESULTS)(score.score)
app.command(cls=settings.Command, rich_help_panel=RESULTS)(report.report)
app.command(cls=settings.Command, rich_help_panel=RESULTS)(release.verify)
app.command(cls=settings.Command, rich_help_panel=RESULTS)(publish.publish)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"brownid {__version__}")
        raise typer.Exit


@app.callback()
def brownid(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Synthetic face-recognition datasets by Brownian identity diffusion.

    These commands work on single items: images, latents, collections, a release.
    Whole datasets are made by the workflow (snakemake, or make release).
    """
    logging.basicConfig(level=logging.WARNING, format="brownid: %(message)s")
    set_process_environment()


def main() -> None:
    """The entry point of the `brownid` command."""
    app(prog_name="brownid")
