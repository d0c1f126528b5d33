"""The names that versions gave to rules, files and settings, and how old ones become those of today."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

from brownid.runtime.text import read_yaml

TABLE = resources.files("brownid.upgrade") / "renames.yaml"
OPTIONS = "options"  # of a user's factory


class Renames:
    """The table in renames.yaml, or one like it: what its parts mean stands there."""

    def __init__(self, versions: Sequence[Mapping[str, Any]]):
        self.versions = versions
        self._paths = [_patterns(version) for version in versions]

    def of_run(self, outputs: Iterable[str], seed: int | None = None) -> "Renames":
        """The same for a run with these output files and this top-level seed, which stands for `{seed}` in new paths.

        It has those entries alone that the run has under their new names only.
        """
        present = {part.split(".")[0] for path in outputs for part in path.split("/")}
        return Renames(
            [
                {
                    **version,
                    "entries": _renamed(version, present),
                    "paths": {old: new.replace("{seed}", f"{seed}") for old, new in version.get("paths", {}).items()},
                }
                for version in self.versions
            ]
        )

    def rule(self, name: str) -> str:
        """Today's name of a rule."""
        for version in self.versions:
            name = version.get("rules", {}).get(name, name)
        return name

    def path(self, path: str) -> str:
        """Today's path of a file."""
        for version, patterns in zip(self.versions, self._paths, strict=True):
            path = _with_entries(_replaced(path, patterns), version.get("entries", {}))
        return path

    def old_paths(self, path: str) -> Iterator[str]:
        """Paths of today's `path` in older versions, the newest first."""
        for version, patterns in reversed(list(zip(self.versions, self._paths, strict=True))):
            entries = {new: old for old, new in version.get("entries", {}).items()}
            older = _replaced(_with_entries(path, entries), [(new, old) for old, new in patterns])
            if older != path:
                path = older
                yield path

    def owner(self, rule: str, owner: Mapping[str, Any]) -> dict[str, Any]:
        """Owner (`settings`, ...) of a result or state of today's `rule`, under today's names."""
        converted: Any = owner
        for version in self.versions:
            converted = self._converted(version, rule, converted, "")
            for place, value in _of_rule(version, "added", rule).items():
                _add(converted, place.split("."), value)
        return dict(converted)

    def _converted(self, version: Mapping[str, Any], rule: str, value: Any, place: str) -> Any:
        if isinstance(value, Mapping):
            own = "factory" in value or place.endswith(f".{OPTIONS}")
            keys = {} if own else _of_rule(version, "keys", rule)
            converted = {}
            for key, item in value.items():
                inner = f"{place}.{key}" if place else str(key)
                names = [new for pattern, new in keys.items() if fnmatchcase(inner, pattern) and new not in value]
                converted[names[0] if names else self.path(key)] = self._converted(version, rule, item, inner)
            return converted
        if isinstance(value, list | tuple):
            return [self._converted(version, rule, item, place) for item in value]
        for pattern, values in _of_rule(version, "values", rule).items():
            if fnmatchcase(place, pattern):
                value = values.get(value, value)
        return self.path(version.get("entries", {}).get(value, value)) if isinstance(value, str) else value


@cache
def renames() -> Renames:
    """Renames of the versions up to this one."""
    return Renames(read_yaml(TABLE))


def _of_rule(version: Mapping[str, Any], part: str, rule: str) -> dict[str, Any]:
    parts = version.get(part, {})
    return {**parts.get("*", {}), **parts.get(rule, {})}


def _patterns(version: Mapping[str, Any]) -> list[tuple[str, str]]:
    logs = ("logs/{}/", "logs/benchmarks/{}/")
    rules = [(log.format(old), log.format(new)) for old, new in version.get("rules", {}).items() for log in logs]
    return [*version.get("paths", {}).items(), *rules]


def _renamed(version: Mapping[str, Any], present: Collection[str]) -> dict[str, str]:
    """The entries of the configuration that a version renamed and that a run has under their new names only."""
    entries = version.get("entries", {}).items()
    return {old: new for old, new in entries if old not in present and new in present}


def _with_entries(path: str, entries: Mapping[str, str]) -> str:
    """`path` with new names of entries; they name folders, and files without what follows the first dot."""
    parts = (part.partition(".") for part in path.split("/"))
    return "/".join("".join((entries.get(name, name), dot, rest)) for name, dot, rest in parts)


def _replaced(path: str, patterns: Sequence[tuple[str, str]]) -> str:
    """`path` by the first pattern that it matches."""
    for old, new in patterns:
        found = _regex(old).fullmatch(path)
        if found:
            return new.format(**found.groupdict()) + path[found.end("begin") :]
    return path


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"{(\w+)}", pattern)
    text = "".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
    return re.compile(f"(?P<begin>{text}).*" if pattern.endswith("/") else f"(?P<begin>{text})")


def _add(converted: Any, place: Sequence[str], value: Any) -> None:
    """Give a mapping the value at a dotted place where its parent is there and has none."""
    for key in place[:-1]:
        converted = converted.get(key) if isinstance(converted, Mapping) else None
    if isinstance(converted, dict):
        converted.setdefault(place[-1], value)
