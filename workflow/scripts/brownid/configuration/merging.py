"""Configuration files and single values on the command line, merged as Snakemake merges them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from brownid.errors import BrownidError


class _Loader(yaml.SafeLoader):
    """YAML that also reads 1e-4 as a number, as YAML 1.2 and Snakemake's command line do."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def merged(configfiles: Sequence[str | Path], values: Sequence[str] = ()) -> dict[str, Any]:
    """The content of configuration files, merged in their order, and then the `values` (see `override`)."""
    together: dict[str, Any] = {}
    for path in configfiles:
        try:
            check_repetition(path)
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, Mapping):
                raise BrownidError(f"{path}: a configuration is a file of sections, see config/config.yaml")
            _merge(together, content)
        except OSError as error:
            raise BrownidError(f"{path}: cannot read the configuration: {error.strerror}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no such day
            raise BrownidError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    return override(together, values)


def override(config: Mapping, values: Sequence[str]) -> dict[str, Any]:
    """`config` with the `KEY=VALUE` of Snakemake's --config over it, each VALUE read as if it stood in a file.

    Snakemake itself takes every number and truth value inside braces for text: these replace what it made of them.
    """
    changed: dict[str, Any] = {}
    _merge(changed, config)
    for text in values:
        key, _, value = text.partition("=")
        try:
            _merge(changed, {key: _read(f"--config {key}", value)})
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such day
            raise BrownidError(f"--config {key}: no YAML: {' '.join(str(error).split())}") from error
    return changed


def check_repetition(path: str | Path) -> None:
    """Raise a `BrownidError` for a key that a YAML file gives twice in one section: the first would vanish silently."""
    _check_repetition(str(path), yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader))


def _read(place: str, text: str) -> Any:
    """A value of the command line; keys are text as they stand, since Snakemake leaves them so."""
    loader = _Loader(text)
    node = loader.get_single_node()
    _check_repetition(place, node)

    def content(node: yaml.Node | None) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key.value: content(value) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [content(item) for item in node.value]
        return None if node is None else loader.construct_object(node)

    return content(node)


def _check_repetition(place: str, node: yaml.Node | None) -> None:
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in lines and key.tag != "tag:yaml.org,2002:merge":
                    raise BrownidError(
                        f"{place}, line {line}: the key {key.value!r} stands in line {lines[key.value]} already: "
                        "remove one of them"
                    )
                if isinstance(key.value, str):
                    lines[key.value] = line
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _merge(merged: dict[str, Any], content: Mapping) -> None:
    for key, value in content.items():
        if not isinstance(value, Mapping):
            merged[key] = value
            continue
        if not isinstance(merged.get(key), dict):
            merged[key] = {}
        _merge(merged[key], value)
