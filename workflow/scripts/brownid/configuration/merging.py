"""Configuration files and single values on the command line, merged as Snakemake merges them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from brownid.errors import BrownidError, one_line
from brownid.textfiles import check_document, read_yaml


class _Loader(yaml.SafeLoader):
    """YAML that also reads 1e-4 as a number, as YAML 1.2 and Snakemake's command line do."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
)


def merged(configfiles: Sequence[str | Path], values: Sequence[str] = ()) -> dict[str, Any]:
    """The content of configuration files, merged in their order, and then the `values` (see `override`)."""
    together: dict[str, Any] = {}
    for path in configfiles:
        content = read_yaml(path)
        if not isinstance(content, Mapping):
            raise BrownidError(f"{path}: a configuration is a file of sections, see config/config.yaml")
        _merge(together, content)
    return override(together, values)


def override(config: Mapping, values: Sequence[str]) -> dict[str, Any]:
    """`config` with the `KEY=VALUE` of Snakemake's --config over it, each VALUE read as if it stood in a file.

    Snakemake itself takes every number and truth value inside braces for text: these replace what it made of them.
    """
    changed: dict[str, Any] = {}
    _merge(changed, config)
    for text in values:
        key, _, value = text.partition("=")
        _merge(changed, {key: read_value(f"--config {key}", value)})
    return changed


def read_value(place: str, text: str) -> Any:
    """A value of the command line, in YAML; keys are text as they stand, since Snakemake leaves them so.

    Raises `BrownidError` that begins with `place`, such as "--config seed", for what is no YAML.
    """

    def content(node: yaml.Node | None) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key.value: content(value) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [content(item) for item in node.value]
        return None if node is None else loader.construct_object(node)

    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            check_document(place, node)
        return content(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such day
        raise BrownidError(f"{place}: no YAML: {one_line(error)}") from error


def _merge(merged: dict[str, Any], content: Mapping) -> None:
    for key, value in content.items():
        if not isinstance(value, Mapping):
            merged[key] = value
            continue
        if not isinstance(merged.get(key), dict):
            merged[key] = {}
        _merge(merged[key], value)
