"""The public names of `brownid`: exported lazily, known to type checkers, and not used by the library itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import brownid

PACKAGE = Path(brownid.__file__).parent
ROOMS = [path.parent for path in PACKAGE.glob("*/__init__.py")]
HEAVY = {"torch", "numpy", "pandas", "h5py", "typer"}


def imported_names(tree):
    """(module, name) of every `from module import name` of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


def test_every_public_name_is_its_module_s():
    for name, module in brownid._MODULES.items():
        assert getattr(brownid, name).__module__ == module, name
    assert set(brownid.__all__) <= set(dir(brownid))


def test_type_checkers_see_the_names_of_the_table_and_no_others():
    (seen,) = [node for node in ast.parse(Path(brownid.__file__).read_text()).body if isinstance(node, ast.If)]
    assert {name: module for module, name in imported_names(ast.Module(seen.body, []))} == brownid._MODULES
    assert all(alias.asname == alias.name for node in seen.body for alias in node.names), "`as` marks a re-export"


def test_importing_brownid_imports_nothing_heavy():
    program = f"import brownid, sys; brownid.BrownidError; print({HEAVY} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(PYTHONPATH=PACKAGE.parent)
    )
    assert done.stdout == "set()\n", done.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'langevine'"):
        _ = brownid.langevine


def test_no_public_name_is_a_room():
    assert not set(brownid.__all__) & {room.name for room in ROOMS}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_lists_the_modules_of_its_public_names(room):
    modules = {module.split(".")[2] for module in brownid._MODULES.values() if module.split(".")[1] == room.name}
    listed = [node.value for node in ast.parse((room / "__init__.py").read_text()).body if isinstance(node, ast.Assign)]
    assert [set(ast.literal_eval(value)) for value in listed if isinstance(value, ast.List)] == [modules] * bool(
        modules
    )


def test_library_and_scripts_import_from_modules_alone():
    """The fingerprint of the code follows neither what `brownid` exports lazily nor what a room might."""
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("*.py")]
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path != PACKAGE / "__init__.py":
            used = {
                n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "brownid"
            }
            used |= {name for module, name in imported_names(tree) if module == "brownid"}
            assert not used & set(brownid.__all__), path
        for module, name in imported_names(tree):
            folder = PACKAGE.parent.joinpath(*(module or "").split("."))
            if (module or "").startswith("brownid.") and folder.is_dir():
                assert (folder / f"{name}.py").exists() or (folder / name).is_dir(), f"{path}: {module}.{name}"
