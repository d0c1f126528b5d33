"""JSON and YAML files from anywhere: what they say, or a sentence, whatever stands in them.

Nothing in them can take more memory or time than their size accounts for: files have a largest size, YAML's aliases and
merges are counted before they are followed, numbers have a largest length.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.files import atomic_path, check_regular

LARGEST_JSON, LARGEST_YAML = 64 * 2**20, 4 * 2**20  # bytes; YAML is read at about 100 kB a second
MOST_VALUES = 10**6  # of a YAML file, each alias counted as what it stands for
CHECKSUM = "sha256"  # the key in a JSON file of ours
LONGEST_NUMBER = 400  # characters; the longest of a float has 309 digits
NUMBER_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
MERGE_TAG = "tag:yaml.org,2002:merge"

Node = TypeVar("Node")


def read_json(path: str | Path) -> Any:
    """Content of a JSON file; BrownidError if it is invalid, repeats a key, or has a number that is not finite."""
    try:
        return json.loads(
            _text(path, LARGEST_JSON), object_pairs_hook=_object, parse_constant=_not_finite, parse_float=_float
        )
    except RecursionError:
        raise BrownidError(f"{path}: no JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:
        raise BrownidError(f"{path}: no JSON that can be read: {one_line(error).rstrip('.')}.") from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_checked_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, keys sorted, with the SHA-256 of all else under `sha256`."""
    plain = json.loads(json.dumps(content, allow_nan=False))  # as it is read: keys are text, tuples are lists
    with atomic_path(path) as temporary:
        whole = {**plain, CHECKSUM: _checksum(plain)}
        temporary.write_text(json.dumps(whole, indent=1, sort_keys=True), encoding="utf-8")


def read_checked_json(path: str | Path) -> dict[str, Any]:
    """Content of a file of `write_checked_json`, or of an older version, which wrote no checksum.

    BrownidError where the content does not match its checksum, and for what is no JSON or no mapping.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise BrownidError(f"{path}: not a JSON mapping, but a {type(content).__name__}: make it again.")
    written = content.pop(CHECKSUM, None)
    # Without one it is an earlier version, or the name of the checksum itself was changed.
    damaged = any(map(_is_checksum, content.values())) if written is None else written != _checksum(content)
    if damaged:
        raise BrownidError(f"{path}: damaged: its content does not match its checksum; make it again.")
    return content


def _is_checksum(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_yaml(path: str | Path | Traversable) -> Any:
    """Content of a YAML file of one document; BrownidError if it is invalid, repeats a key, refers to itself, or stands
    for more than `MOST_VALUES` values."""
    loader = None
    try:
        loader = yaml.SafeLoader(_text(path, LARGEST_YAML))
        document = loader.get_single_node()
        if document is None:
            return None
        check_document(str(path), document)
        return loader.construct_document(document)
    except RecursionError:
        raise BrownidError(f"{path}: no YAML that can be read: it is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such day, too many digits
        raise BrownidError(f"{path}: no YAML that can be read: {one_line(error).rstrip('.')}.") from None
    finally:
        if loader is not None:
            loader.dispose()


def check_expansion(root: Node, parts: Callable[[Node], Iterable[Node]], what: str) -> None:
    """Raise ValueError where a value refers to itself, or has more than `MOST_VALUES` parts, shared ones counted as
    often as they occur."""
    sizes: dict[int, int | None] = {}  # by identity; None while the parts are being counted

    def size(value: Node) -> int:
        known = sizes.get(id(value), 0)
        if known is None:
            raise ValueError(f"{what} make a value part of itself")
        if not known:
            sizes[id(value)] = None
            known = sizes[id(value)] = 1 + sum(map(size, parts(value)))
            if known > MOST_VALUES:
                raise ValueError(f"{what} stand for more than {MOST_VALUES} values")
        return known

    size(root)


def _text(path: str | Path | Traversable, largest: int) -> str:
    """The text of a regular file of at most `largest` bytes, in UTF-8; a byte-order mark is left out."""
    path = Path(path) if isinstance(path, str) else path
    if isinstance(path, Path):
        check_regular(path)
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise BrownidError(f"{path}: cannot read the file: {error.strerror}.") from None
    if len(content) > largest:
        raise BrownidError(f"{path}: the file has more than {largest} bytes, too many for a file of this kind.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrownidError(f"{path}: no text in UTF-8: {one_line(error).rstrip('.')}.") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} stands twice")
        found[name] = value
    return found


def _not_finite(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _parts(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return (part for pair in node.value for part in pair)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def check_document(place: str, root: yaml.Node) -> None:
    """Refuse a YAML document that stands for far more than its size, or repeats a key, before it is constructed.

    A key that stands twice in one section, of which the first would vanish silently, is a BrownidError that names
    `place`; aliases that explode and endless numbers are a ValueError.
    """
    check_expansion(root, _parts, "its aliases")
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += _parts(node)
        if isinstance(node, yaml.MappingNode):
            _check_keys(place, node)
        elif node.tag in NUMBER_TAGS and len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"line {node.start_mark.line + 1}: a number of {len(node.value)} characters")


def _check_keys(place: str, node: yaml.MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if key.tag == MERGE_TAG or not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in lines:
            raise BrownidError(
                f"{place}, line {line}: the key {key.value!r} stands in line {lines[key.tag, key.value]} already:"
                " remove one of them."
            )
        lines[key.tag, key.value] = line
