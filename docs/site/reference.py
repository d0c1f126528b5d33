"""Write the generated pages of the reference as Markdown: `python docs/site/reference.py FOLDER`.

They come from the configuration's schema, from the `brownid` command and from the docstrings of `brownid.__all__`.
`make documents` runs this in the environment of the project; Sphinx, in one of its own, includes the pages (conf.py).
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

import brownid
from brownid.cli import app
from brownid.configuration.loading import read_schema
from brownid.runtime.settings import Settings, object_schema


def configuration() -> str:
    """Every key of a configuration: first the sections, then the entries and settings that they refer to."""
    schema = read_schema()
    sections = {name: rules for name, rules in schema["properties"].items() if rules.get("properties")}
    definitions = {name: rules for name, rules in schema["$defs"].items() if rules.get("properties")}
    pages = ["## The sections", _table(schema)]
    for name, rules in [*sections.items(), *definitions.items()]:
        pages += [f"({anchor(name)})=\n### `{name}`", _sentence(rules), _table(rules), *_choices(rules)]
    return "\n\n".join(pages)


def anchor(definition: str) -> str:
    """The name of the place where the keys of a definition are listed."""
    return f"keys-{definition.replace('_', '-')}"


def _table(section: Mapping[str, Any]) -> str:
    """The keys of a section as a table."""
    keys = section["properties"] | section.get("else", {}).get("properties", {})
    required = section.get("required", ())
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, rules in keys.items():
        default = "required" if name in required else _default(rules)
        values = f"[below](#{anchor(name)})" if rules.get("properties") and section.get("$defs") else _values(rules)
        rows.append(f"| `{name}` | {_cell(values)} | {_cell(default)} | {_cell(_sentence(rules))} |")
    return "\n".join(rows)


def _values(rules: Mapping[str, Any]) -> str:
    """What a key takes, in words."""
    entry = rules.get("additionalProperties")
    if isinstance(entry, Mapping) and "$ref" in entry:
        return f"names, and of each: {_reference(entry)}"
    if "$ref" in rules and "/names" not in rules["$ref"]:
        return _reference(rules)
    if "enum" in rules:
        return ", ".join(f"`{_written(value)}`" for value in rules["enum"])
    types = [rules["type"]] if isinstance(rules.get("type"), str) else list(rules.get("type", ()))
    words = " or ".join("list" if each == "array" else each for each in types) or "see below"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {rules[key]:.4g}" for key, sign in bounds.items() if key in rules]
    return ", ".join([words, *limits])


def _reference(rules: Mapping[str, Any]) -> str:
    name = rules["$ref"].rsplit("/", 1)[-1]
    return f"[{name}](#{anchor(name)})" if read_schema()["$defs"][name].get("properties") else name


def _default(rules: Mapping[str, Any]) -> str:
    return f"`{_written(rules['default'])}`" if "default" in rules else ""


def _written(value: Any) -> str:
    """A value as YAML has it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _sentence(rules: Mapping[str, Any]) -> str:
    referred = read_schema()["$defs"].get(rules.get("$ref", "").rsplit("/", 1)[-1], {})
    text = (rules.get("description") or referred.get("description", "")).strip()
    return f"{text.removesuffix('.')}." if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _choices(rules: Mapping[str, Any]) -> Iterator[str]:
    """Which definitions hold for which family or algorithm."""
    found = []
    for rule in rules.get("allOf", ()):
        for key, condition in rule.get("if", {}).get("properties", {}).items():
            when = [condition["const"]] if "const" in condition else condition.get("enum", ())
            then = rule.get("then", {})
            targets = {None: then, **then.get("properties", {})}
            for target, each in targets.items():
                if "$ref" in each and when:
                    what = f"`{target}` is" if target else "its keys are those of"
                    found.append(f"- `{key}: {' or '.join(when)}`: {what} {_reference(each)}")
    if found:
        yield "\n".join(found)


def commands() -> str:
    """Every command of `brownid`, with its arguments, options and settings."""
    pages = []
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="brownid")
    for name in root.list_commands(context):
        pages += list(_command(root.commands[name], f"brownid {name}", 2))
    return "\n\n".join(pages)


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{name}`"
    text, *examples = re.split(r"\n\s*Examples?:\n", command.help or "")
    yield _prose(text)
    yield from (f"```sh\n{textwrap.dedent(each).strip()}\n```" for each in examples)
    if hasattr(command, "commands"):
        for each in command.commands.values():
            yield from _command(each, f"{name} {each.name}", level + 1)
        return
    rows = [_parameter(each) for each in command.params if not each.hidden and each.name != "help"]
    yield "\n".join(["| argument or option | meaning | default |", "|---|---|---|", *rows])
    settings = command.settings.get("") if getattr(command, "settings", None) else None
    if settings:
        yield "Settings (`--set NAME=VALUE`):"
        yield _table({"properties": settings()})


def _prose(text: str) -> str:
    """Paragraphs of a help text; lines that all begin with `word:` are a list."""
    paragraphs = []
    for each in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in each.splitlines()]
        is_list = len(lines) > 1 and all(re.match(r"[\w-]+: ", line) for line in lines)
        paragraphs.append(
            "\n".join(f"- `{line.replace(': ', '`: ', 1)}" for line in lines) if is_list else "\n".join(lines)
        )
    return "\n\n".join(paragraphs)


def _parameter(parameter: Any) -> str:
    metavar = parameter.metavar or ""
    if parameter.param_type_name == "argument":
        name = f"`{metavar or parameter.name.upper()}`"
    else:
        names = [*parameter.opts, *parameter.secondary_opts]
        name = ", ".join(f"`{each}`" for each in names) + (f" `{metavar}`" if metavar else "")
    default = "required" if parameter.required else _shown(parameter)
    return f"| {_cell(name)} | {_cell(getattr(parameter, 'help', None) or '')} | {_cell(default)} |"


def _shown(parameter: Any) -> str:
    value = parameter.default
    simple = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    return f"`{value}`" if simple and str(value) else ""


def python() -> str:
    """Every name of `brownid.__all__`, by the room that it belongs to."""
    pages = []
    modules = sorted(brownid._MODULES.items(), key=lambda item: item[1])
    for room, names in groupby(modules, key=lambda item: item[1].split(".")[1]):
        objects = [(name, getattr(brownid, name)) for name, _ in names]
        purpose = inspect.getdoc(sys.modules[f"brownid.{room}"]) or ""
        pages += [f"## {room}", purpose.partition("\n")[0]]
        for name, each in objects:
            pages += list(_documented(name, each))
    return "\n\n".join(pages)


def _documented(name: str, each: Any) -> Iterator[str]:
    is_class = inspect.isclass(each)
    is_settings = is_class and issubclass(each, Settings)
    yield f"### {name}"
    yield f"```python\n{name}(...)\n```" if is_settings else f"```python\n{_signature(name, each)}\n```"
    yield _docstring(inspect.getdoc(each) or "")
    if is_settings:
        yield _table(object_schema(each))
    elif is_class:
        for key, value in vars(each).items():
            if not key.startswith("_") and inspect.getdoc(value):
                yield from _member(key, value)


def _member(name: str, member: Any) -> Iterator[str]:
    function = getattr(member, "__func__", member)
    if isinstance(member, property):
        yield f"`{name}`\n: {_one_paragraph(inspect.getdoc(member))}"
    elif inspect.isfunction(function):
        yield f"`{_one_line_signature(name, function)}`\n: {_one_paragraph(inspect.getdoc(function))}"


def _one_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _signature(name: str, each: Any) -> str:
    try:
        signature = inspect.signature(each)
    except (TypeError, ValueError):
        return name
    if inspect.isclass(each):
        signature = signature.replace(return_annotation=signature.empty)
    line = f"{name}{_plain(signature)}"
    if len(line) <= 88:
        return line
    parameters = [f"    {_plain(parameter)}," for parameter in signature.parameters.values()]
    keyword = next((i for i, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY), None)
    if keyword is not None and not any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        parameters.insert(keyword, "    *,")
    returns = "" if signature.return_annotation is signature.empty else f" -> {_type(signature.return_annotation)}"
    return "\n".join([f"{name}(", *parameters, f"){returns}"])


def _one_line_signature(name: str, function: Any) -> str:
    return re.sub(r"^(\w+\()(?:self|cls)(?:, )?", r"\1", f"{name}{_plain(inspect.signature(function))}")


def _plain(signature: Any) -> str:
    """A signature or parameter, without the modules of its types."""
    text = re.sub(r"<[\w.]+ object at \w+>", "...", str(signature))
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])", _without_module, text)


def _without_module(match: re.Match) -> str:
    return match[0] if match[0] in ("torch.", "np.", "pd.") else ""


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _plain(text)


def _docstring(text: str) -> str:
    """A docstring's paragraphs, and its sections `Args:`, `Returns:`, `Raises:` as lists."""
    lines, found = text.splitlines(), []
    while lines:
        line = lines.pop(0)
        if re.fullmatch(r"(Args|Returns|Raises|Yields|Attributes):", line):
            inside = []
            while lines and (not lines[0].strip() or lines[0].startswith(" ")):
                inside.append(lines.pop(0))
            found += ["", f"**{line[:-1]}**", "", *_items(textwrap.dedent("\n".join(inside)).strip(), line)]
        else:
            found.append(line)
    return "\n".join(found).strip()


def _items(text: str, section: str) -> list[str]:
    if section in ("Returns:", "Yields:"):
        return text.splitlines()
    items = []
    for line in text.splitlines():
        if line.startswith(" "):
            items.append(f"  {line.strip()}")
        else:
            name, colon, rest = line.partition(":")
            items.append(f"- `{name}`:{rest}" if colon else f"- {line}")
    return items


PAGES = {"configuration": configuration, "commands": commands, "python": python}


def main(folder: str) -> None:
    """Write all pages into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        Path(folder, f"{name}.md").write_text(f"{page()}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
