"""Protocol lists in bob's format: which images of a database belong to which group.

A folder a protocol, with `norm/train_world.lst`, `dev/for_models.lst`, `dev/for_probes.lst`, `eval/for_models.lst`
and `eval/for_probes.lst` (or `for_scores.lst`). A line is a path without suffix, below the database's root, and further
words of which the last is the client: `path client`, `path model client`, `path model claimed_client client`. The
newer lists are CSV files of the same names, whose first line says `path` and perhaps `subject_id`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from brownid.databases.listing import csv_rows, path_text, read_lines
from brownid.errors import BrownidError

# the list's place in the folder of a protocol -> group; what bob calls world is what models are trained on
GROUPS: Mapping[tuple[str, str], str] = {
    ("norm", "train_world"): "train",
    **{(group, f"for_{purpose}"): group for group in ("dev", "eval") for purpose in ("models", "probes", "scores")},
}
SUFFIXES = (".lst", ".csv")
CLIENT_COLUMNS = ("subject_id", "client_id")

Protocols = dict[str, dict[str, dict[str, str | None]]]  # protocol -> group -> path without suffix -> client


def list_files(folder: str | Path) -> list[Path]:
    """The list files below a folder of protocols, sorted."""
    found = sorted(path for path in Path(folder).glob("*/*/*") if path.suffix in SUFFIXES and _place(path) in GROUPS)
    if not found:
        raise BrownidError(
            f"There is no protocol list below {folder}; expected files such as P_center_lit/norm/train_world.lst."
        )
    return found


def read_lists(files: Iterable[str | Path]) -> Protocols:
    """The images of each protocol and group, in the order of the files and lines, with the client (None: not said).

    Models and probes of a group are joined. BrownidError naming file and line for a line without a client, and for an
    image that has two.
    """
    protocols: Protocols = {}
    for file in sorted(map(Path, files)):
        group = protocols.setdefault(file.parts[-3], {}).setdefault(GROUPS[_place(file)], {})
        for number, path, client in _lines(file):
            if group.setdefault(path, client) != client:
                raise BrownidError(f"{file}, line {number}: {path} is of client {client}, elsewhere of {group[path]}.")
    return protocols


def _place(file: Path) -> tuple[str, str]:
    return file.parent.name, file.stem


def _lines(file: Path) -> Iterable[tuple[int, str, str | None]]:
    lines = read_lines(file, "protocol list")
    if file.suffix == ".csv":
        yield from _csv_lines(file, lines)
        return
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not 2 <= len(words) <= 4:
            raise BrownidError(f"{file}, line {number}: expected a path and a client, such as 'path client'.")
        yield number, path_text(words[0]), words[-1]


def _csv_lines(file: Path, lines: list[str]) -> Iterable[tuple[int, str, str | None]]:
    rows = csv_rows(file, lines)
    names = [name.strip().lower() for name in next(rows, [])]
    if "path" not in names:
        raise BrownidError(f"{file}: the first line must name the columns, one of them `path`.")
    client = next((names.index(name) for name in CLIENT_COLUMNS if name in names), None)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise BrownidError(f"{file}, line {number}: it has {len(row)} columns, the first line {len(names)}.")
        yield number, path_text(row[names.index("path")]), None if client is None else row[client]
