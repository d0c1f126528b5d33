"""Are the user's own files there that a configuration names, and does no key in it stand twice?"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from brownid.errors import BrownidError

OWN_FILES = {"benchmarks": "file", "networks": "weights"}
OWN_FOLDERS = {"databases": "root"}


def check_files(config: Mapping) -> None:
    """Raise a `BrownidError` naming the first of the user's files and folders that does not exist.

    Snakemake would notice a missing input only when the stage that reads it has to run.
    """
    for keys, exists, what in ((OWN_FILES, Path.is_file, "file"), (OWN_FOLDERS, Path.is_dir, "folder")):
        for section, key in keys.items():
            for name, entry in config[section].items():
                if entry[key] and not exists(Path(entry[key])):
                    raise BrownidError(f"{section}.{name}.{key}: there is no {what} {entry[key]}")


def check_repetition(path: str | Path) -> None:
    """Raise a `BrownidError` for a key that a YAML file gives twice in one section: the first would vanish silently."""
    waiting = [yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in lines and key.tag != "tag:yaml.org,2002:merge":
                    raise BrownidError(
                        f"{path}, line {line}: the key {key.value!r} stands in line {lines[key.value]} already: "
                        "remove one of them"
                    )
                if isinstance(key.value, str):
                    lines[key.value] = line
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
