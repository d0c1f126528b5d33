"""The rooms of the library: imports run one way, no files import each other in a circle, and names tell files apart."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SCRIPTS = PROJECT / "workflow" / "scripts"
(TABLE,) = re.findall(
    r"^```rooms\n(.*?)^```", (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M | re.S
)
ROOMS = tuple(
    line.split()[0] for line in TABLE.splitlines()
)  # a room imports only from itself and from rooms before it


def modules_in(folder: Path) -> dict[str, Path]:
    """Every Python file below a folder, by the name that it is imported under; a package is its `__init__`."""
    parts = {path: path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py")}
    return {".".join(part for part in names if part != "__init__"): path for path, names in parts.items()}


def imports_of(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that a file imports, also within functions and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import; write the whole name."
            names = {name: f"{node.module}.{name}" for name in (alias.name for alias in node.names)}
            found |= {whole if whole in modules else node.module for whole in names.values()}
    return found & set(modules)


@cache
def graph_of(folder: Path) -> dict[str, set[str]]:
    modules = modules_in(folder)
    return {name: imports_of(path, modules) - {name} for name, path in modules.items()}


def room_of(module: str) -> str:
    """The room of a module of the library; "" for `brownid` itself, which hands out names of all rooms, and scripts."""
    return [*module.split("."), ""][1] if module.startswith("brownid") else ""


def imports_against(graph: dict[str, set[str]], rooms: tuple[str, ...]) -> Iterator[str]:
    """`module -> module` for every import of a later room; and scripts import the library, not the other way round."""
    place = {room: position for position, room in enumerate(rooms)}
    for module, targets in sorted(graph.items()):
        if room_of(module):
            for target in sorted(targets):
                later = room_of(target) and place[room_of(target)] > place[room_of(module)]
                if later or not target.startswith("brownid"):
                    yield f"{module} -> {target}"


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """The modules that are left when those that import none of the others, or that none imports, are taken away."""
    left = dict(graph)
    while True:
        imported = set().union(*left.values())
        kept = {module: targets & left.keys() for module, targets in left.items() if module in imported}
        kept = {module: targets for module, targets in kept.items() if targets}
        if len(kept) == len(left):
            return sorted(left)
        left = kept


def names_alike(names: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names that begin alike and differ by a suffix of at most five letters; version numbers do not count."""
    for first, second in combinations(sorted(names), 2):
        differing = [mine != theirs for mine, theirs in zip(first, second, strict=False)]
        shared = [*differing, True].index(True)
        endings = first[shared:], second[shared:]
        if shared >= 4 and all(len(ending) <= 5 and not ending.isdigit() for ending in endings):
            yield first, second


def test_every_room_of_the_library_has_its_place_in_the_order():
    assert {room_of(module) for module in graph_of(SCRIPTS)} == {"", *ROOMS}


def test_a_room_imports_only_rooms_before_it():
    assert not list(imports_against(graph_of(SCRIPTS), ROOMS))


def test_no_files_import_each_other_in_a_circle():
    graph = {module: targets - {"brownid"} for module, targets in graph_of(SCRIPTS).items()}  # there is its version
    assert not circle_in(graph)


@pytest.mark.parametrize("room", ROOMS)
def test_no_two_modules_of_a_room_differ_by_a_suffix(room):
    names = {name for module in graph_of(SCRIPTS) if room_of(module) == room for name in module.split(".")[2:]}
    assert not list(names_alike(names))


def test_imports_for_types_and_within_functions_count(tmp_path):
    files = {
        "brownid/low/base.py": "if TYPE_CHECKING:\n    from brownid.high import top\n",
        "brownid/low/other.py": "def run():\n    import job\n",
        "brownid/high/top.py": "import brownid.low.base\n",
        "job.py": "from brownid.low.base import name\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = graph_of(tmp_path)
    assert list(imports_against(found, ("low", "high"))) == [
        "brownid.low.base -> brownid.high.top",
        "brownid.low.other -> job",
    ]
    assert circle_in(found) == ["brownid.high.top", "brownid.low.base"]


def test_inversion_and_inverting_are_names_alike():
    names = {"inversion", "inverting", "packing", "pickled_arrays", "pickled_tensors", "stylegan2", "stylegan3"}
    assert list(names_alike(names)) == [("inversion", "inverting")]
