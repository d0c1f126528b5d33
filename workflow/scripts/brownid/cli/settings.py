"""`--set NAME=VALUE`: the settings of a command's algorithm, of its generator and of its network.

Names, sentences and defaults are those of the settings classes and of the configuration's schema. Settings of the
generator and of the network are named `generator.NAME` and `network.NAME`.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from brownid.runtime.errors import BrownidError, suggestion
from brownid.runtime.settings import Settings, object_schema

Properties = dict[str, dict[str, Any]]  # setting -> its JSON schema
Groups = Mapping[str, Callable[[], Properties]]  # "" (the algorithm), "generator", "network" -> what can be set

NETWORK = ("family", "architecture", "template", "precision", "reads_bytes", "colour_order")
LIST = "help"  # --set help
NAME = {"type": "string", "description": "Name in the collection that is written."}


def complete(ctx: typer.Context, incomplete: str) -> list[str]:
    """The settings that begin like `incomplete`, and the values of one of a few choices."""
    name, equals, begun = incomplete.partition("=")
    known = _known(getattr(ctx.command, "settings", {}))
    if not equals:
        return [f"{each}=" for each in known if each.startswith(name)]
    return [f"{name}={value}" for value in known.get(name, {}).get("enum", ()) if str(value).startswith(begun)]


Given = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        autocompletion=complete,
        help=f"A setting; may be repeated. --set {LIST} lists all settings.",
    ),
]


def show(
    sections: Annotated[
        list[str] | None, typer.Argument(metavar="SECTION", help="Sections of the configuration. Default: their names.")
    ] = None,
) -> None:
    """List the keys of a configuration by section, with their defaults.

    Examples:
    brownid settings
    brownid settings references langevin
    """
    definitions = _definitions()
    if not sections:
        listed = {name: each for name, each in definitions.items() if _keys(each)}
        typer.echo("\n".join(listing({"": lambda: listed})))
        return
    for name in sections:
        if name not in definitions or not _keys(definitions[name]):
            hint = suggestion(name, definitions, "brownid settings lists all.")
            raise BrownidError(f"There is no section {name!r}; {hint}")
        lines = listing({"": partial(_keys, definitions[name])})
        typer.echo("\n".join([f"{name}: {definitions[name].get('description', '')}".rstrip(": "), *lines]))


class Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, without types of Python in the help."""
        return _plain(super().get_params(ctx))


class Command(TyperCommand):
    """A command with the settings of its algorithm below its options, and `--set help` for all settings."""

    settings: ClassVar[Groups] = {}

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, without types of Python in the help."""
        return _plain(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments; `--set help` among them lists the settings instead of running the command."""
        if self.settings and LIST in [word for before, word in pairwise(args) if before == "--set"]:
            typer.echo("\n".join(listing(self.settings)))
            raise typer.Exit
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and below it the settings of the algorithm."""
        super().format_help(ctx, formatter)
        if "" in self.settings:
            typer.echo("\n".join(["Settings (--set NAME=VALUE):", *listing({"": self.settings[""]})]))


def _plain(parameters: list[Any]) -> list[Any]:
    """Flags take no value, and the name of an argument says what it is."""
    for parameter in parameters:
        if not isinstance(parameter, TyperOption):
            parameter.display_type = lambda ctx: ""
        elif parameter.is_flag:
            parameter.metavar = ""
    return parameters


def command(settings: Groups) -> type[Command]:
    """The class of a command with these settings."""
    return type("CommandWithSettings", (Command,), {"settings": settings})


def of(*classes: type[Settings], without: Sequence[str] = (), **defaults: Any) -> Callable[[], Properties]:
    """The settings of classes, `without` some, and with the `defaults` of a command."""

    def properties() -> Properties:
        found = object_schema(*classes)["properties"]
        changed = {name: {"default": value} for name, value in defaults.items()}
        return {name: rules | changed.get(name, {}) for name, rules in found.items() if name not in without}

    return properties


def generator_families() -> list[str]:
    """The families of generators in the configuration."""
    return _definitions()["generator"]["properties"]["family"]["enum"]


def generator(*families: str) -> Properties:
    """What generators of some families (default: all) can be told; a sentence names the families where they differ."""
    definitions, families = _definitions(), families or tuple(generator_families())
    found: Properties = {"name": NAME}
    owners: dict[str, list[str]] = {}
    for family in families:
        for name, rules in definitions[family]["properties"].items():
            if name != "family":
                found.setdefault(name, rules)
                owners.setdefault(name, []).append(family)
    for name, own in owners.items():
        if len(own) < len(families):
            found[name] = found[name] | {"description": f"{', '.join(own)}: {found[name].get('description', '')}"}
    return found


def network() -> Properties:
    """Settings of a network's weights."""
    properties = _definitions()["network"]["properties"]
    return {"name": NAME} | {name: properties[name] for name in NETWORK}


def read(pairs: Sequence[str] | None, settings: Groups, place: str = "--set") -> dict[str, dict[str, Any]]:
    """NAME=VALUE texts by group, each with the part of its name behind the point; values as those of --config."""
    from brownid.configuration.loading import read_value

    found: dict[str, dict[str, Any]] = {group: {} for group in settings}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise BrownidError(f"{place} {pair}: a setting is written NAME=VALUE.")
        group, point, inner = name.partition(".")
        if not point:
            group, inner = "", name
        if group not in settings or (group != "generator" and inner not in settings[group]()):
            raise BrownidError(f"{place} {name}: {unknown(name, _known(settings))}")
        found[group][inner] = read_value(f"{place} {name}", value)
    return found


def unknown(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Error message for an unknown setting."""
    return f"there is no such setting; {suggestion(name, known, f'--set {LIST} lists them.')}"


def listing(settings: Groups) -> list[str]:
    """Lines with every setting, its default, if it has one, and its sentence."""
    rows = {name + _default(rules): _sentence(rules) for name, rules in _known(settings).items()}
    width = min(max(map(len, rows), default=0), 36) + 2
    lines = []
    for row, sentence in rows.items():
        room = max(shutil.get_terminal_size().columns - width - 2, 30)
        first, *rest = textwrap.wrap(sentence, room) or [""]
        lines += [f"  {row:<{width}}{first}"] if len(row) < width else [f"  {row}", f"  {'':<{width}}{first}"]
        lines += [f"  {'':<{width}}{line}" for line in rest]
    return lines


def _keys(section: Mapping[str, Any]) -> Properties:
    """The keys of a section; those that must be given say so."""
    required = section.get("required", ())
    return {
        name: rules | ({"description": f"{_sentence(rules)} Required."} if name in required else {})
        for name, rules in section.get("properties", {}).items()
    }


def _known(settings: Groups) -> Properties:
    return {
        f"{group}.{name}" if group else name: rules
        for group, properties in settings.items()
        for name, rules in properties().items()
    }


def _default(rules: Mapping[str, Any]) -> str:
    value = rules.get("default")
    if value is None:
        return ""
    return f"={str(value).lower() if isinstance(value, bool) else value}"


def _sentence(rules: Mapping[str, Any]) -> str:
    choices = ", ".join(str(value) for value in rules.get("enum", ()) if value is not None)
    sentences = [rules.get("description", ""), f"One of {choices}" if choices else ""]
    return " ".join(f"{sentence.removesuffix('.')}." for sentence in sentences if sentence)


def _definitions() -> dict[str, Any]:
    from brownid.configuration.loading import read_schema

    schema = read_schema()
    return {"configuration": schema, **schema["$defs"]}
