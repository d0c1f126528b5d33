"""The fingerprint of a job's code: equal exactly when the job would compute the same thing.

Snakemake watches the script file alone, by its modification time. A fingerprint in a rule's `params` watches what the
job executes: the syntax trees of the script and of every `brownid` module that it imports, followed transitively, and
the packages of its conda environment. Comments, docstrings and file times are not in it.
"""

import ast
from functools import cache
from hashlib import sha256
from pathlib import Path

import yaml

PACKAGE = "brownid"
# The version, and what shapes messages, logs and process start: none of it changes a result.
UNTRACKED = {"brownid", "brownid.errors", "brownid.runtime"}


def fingerprint(script: str | Path, environment: str | Path, library: str | Path) -> str:
    """SHA-256 (16 hexadecimal digits) of what `script` executes.

    `library` is the folder that holds the package `brownid`; `environment` is a conda environment file, of which the
    content counts, not the layout.
    """
    digest = sha256(_tree(Path(script)).encode())
    for module in sorted(imported_modules(script, library)):
        digest.update(f"{module}\n{_tree(_module_file(module, Path(library)))}".encode())
    digest.update(repr(yaml.safe_load(Path(environment).read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:16]


def imported_modules(script: str | Path, library: str | Path) -> set[str]:
    """The dotted names of all `brownid` modules that `script` executes, directly or through others.

    `from brownid.room import name` leads to the module that defines `name`, not to everything that the room's
    `__init__` offers: a stage does not depend on its room's other tenants.
    """
    library = Path(library)
    found: set[str] = set()
    waiting = set(_direct_imports(Path(script), library))
    while waiting:
        module = waiting.pop()
        if module in found or module in UNTRACKED:
            continue
        found.add(module)
        path = _module_file(module, library)
        # A room's __init__ only forwards names; whoever wants one of them is led to its module above.
        if path.name != "__init__.py":
            waiting |= _direct_imports(path, library)
    return found


@cache
def _direct_imports(path: Path, library: Path) -> frozenset[str]:
    modules = set()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    modules |= {alias.name} | _offered_by_room(alias.name, library)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            modules |= {_definition(node.module, alias.name, library) for alias in node.names}
    return frozenset(modules)


def _offered_by_room(module: str, library: Path) -> frozenset[str]:
    """What `import brownid.room` makes reachable: all that the room's `__init__` imports."""
    path = _module_file(module, library)
    return _direct_imports(path, library) if path.name == "__init__.py" else frozenset()


def _definition(module: str, name: str, library: Path) -> str:
    """The module that `from module import name` finally reads `name` from."""
    path = _module_file(module, library)
    if path.name != "__init__.py":
        return module
    folder = path.parent / name
    if folder.with_suffix(".py").exists() or (folder / "__init__.py").exists():
        return f"{module}.{name}"
    for node in _parse(path).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _definition(node.module, alias.name, library)
    return module


def _module_file(module: str, library: Path) -> Path:
    folder = library.joinpath(*module.split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def _parse(path: Path) -> ast.Module:
    """The syntax tree of a file, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


@cache
def _tree(path: Path) -> str:
    """The syntax tree of a file as text."""
    return ast.dump(_parse(path))
