"""The top-level definitions of scripts and a package as syntax trees, and which of them lead to which others."""

import ast
import re
import symtable
from collections.abc import Collection, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

ALL = "*"  # a module as an object: all that it defines
ON_IMPORT = ""  # what a module executes when it is imported, beyond binding names
MAIN = "__main__"  # what a module executes when it is started by its name

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_REFERENCE = re.compile(r"(\w+(?:\.\w+)+)(?::(\w+))?")  # "package.module:function", or "package.module"


class Definition(NamedTuple):
    """A name on the top level of a module, or one of `ALL`, `ON_IMPORT` and `MAIN`."""

    module: str
    name: str


Target = Definition | str  # a definition of the package, or the dotted name of something outside
Imports = dict[str, tuple[str, str | None]]  # name -> (module, name in it; None for the module itself)


class Statement(NamedTuple):
    """A top-level statement without the imports inside it, and these."""

    tree: ast.stmt
    imports: Imports


class Part(NamedTuple):
    """Content of a definition as normalised text, and the references in it."""

    content: str
    references: tuple[tuple[str, Target], ...]


class Library:
    """A folder of scripts and a package, of which each module is parsed when it is first reached.

    References are names, attributes of modules, and strings "package.module:function" or "package.module". Modules that
    are `untracked` are treated as outside. A table is a dictionary that is written out, of which a job uses some keys;
    `none` among the keys of a job says that it uses no entry of a table of which it names none; of `optional` tables
    this holds for every job.
    """

    def __init__(
        self,
        folder: Path,
        untracked: Collection[str] = (),
        tables: Collection[Definition] = (),
        none: str | None = None,
        optional: Collection[Definition] = (),
    ):
        self.folder, self.untracked, self.tables, self.none = folder, untracked, tables, none
        self.optional = optional
        self._modules: dict[str, _Module] = {}
        self._parts: dict[Definition, Part] = {}

    def reached(self, script: str, keys: Collection[str] | None = None) -> dict[Definition, Part]:
        """Every definition that a script can execute when it is started, from `Definition(script, MAIN)` on.

        Of tables the entries of `keys` are followed; of a table that has none of them, all unless `none` is among them
        or the table is optional; all where `keys` is None.
        """
        root = self._known(script)
        found = {Definition(script, MAIN): self._part(root, root.bindings.get(MAIN, []))}
        waiting = list(found.values())
        while waiting:
            for _, target in waiting.pop().references:
                if isinstance(target, Definition) and target not in found:
                    found[target] = self._part_of(target, keys)
                    waiting.append(found[target])
        return found

    def module(self, name: str) -> "_Module | None":
        """The module of a dotted name; None where the package has none of that name."""
        if name not in self._modules:
            place = self.folder.joinpath(*name.split("."))
            files = [path for path in (place / "__init__.py", place.with_suffix(".py")) if path.exists()]
            if not files:
                return None
            self._modules[name] = _Module(name, self._parse(files[0]))
        return self._modules[name]

    def _known(self, name: str) -> "_Module":
        module = self.module(name)
        assert module is not None  # a script, or the place of a definition that was found
        return module

    def _parse(self, path: Path) -> ast.Module:
        return _parsed(path.read_text(encoding="utf-8"), path)

    def _part_of(self, definition: Definition, keys: Collection[str] | None) -> Part:
        module = self._known(definition.module)
        if definition in self.tables and keys is not None:
            statements = module.bindings[definition.name]
            or_none = self.none in keys or definition in self.optional
            return self._part(module, [_only(statement, keys, or_none) for statement in statements])
        if definition not in self._parts:
            if definition.name == ALL:
                everything = tuple((name, Definition(definition.module, name)) for name in module.bindings)
                part = Part("", everything)
            else:
                executed = module.loose if definition.name == ON_IMPORT else module.bindings[definition.name]
                part = self._part(module, executed)
            self._parts[definition] = part
        return self._parts[definition]

    def _part(self, module: "_Module", statements: Iterable[Statement]) -> Part:
        texts: list[str] = []
        references: set[tuple[str, Target]] = set()
        if module.loose:
            references.add(("", Definition(module.name, ON_IMPORT)))
        for statement in statements:
            texts.append(_text(statement.tree))
            references |= set(self._references(module, statement))
        return Part("\n".join(texts), tuple(references))

    def _references(self, module: "_Module", statement: Statement) -> Iterator[tuple[str, Target]]:
        imports = module.imports | statement.imports
        free = _free_names(statement.tree)
        followed = set()  # names of which an attribute was followed
        for node in ast.walk(statement.tree):  # outer nodes come before inner ones
            label, target = "", None
            if isinstance(node, ast.Attribute):
                chain = _chain(node)
                if chain and chain[0].id in free and id(chain[0]) not in followed:
                    followed.add(id(chain[0]))
                    label, target = self._followed(module, [chain[0].id, *chain[1:]], imports)
            elif isinstance(node, ast.Name) and node.id in free and id(node) not in followed:
                label, target = self._followed(module, [node.id], imports)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                label, target = node.value, self._named(node.value)
            if isinstance(target, Definition) and target.module in self.untracked:
                target = target.name  # wherever it stands
            if target is not None:
                yield label, target

    def _followed(self, module: "_Module", chain: list[str], imports: Imports) -> tuple[str, Target | None]:
        """Target of `a.b.c` and the resolved prefix: a definition of a module, or the module itself."""
        label, *rest = chain
        target = self._target(*imports[label]) if label in imports else self._own(module, label)
        while isinstance(target, Definition) and target.name == ALL and rest:
            label, target = f"{label}.{rest[0]}", self._target(target.module, rest.pop(0))
        return label, target

    def _own(self, module: "_Module", name: str) -> Target | None:
        return Definition(module.name, name) if name in module.bindings else None

    def _target(self, module_name: str, name: str | None) -> Target | None:
        """Target of `from module import name`; the module itself if the name is None."""
        module = self.module(module_name)
        if module is None:
            return module_name if name is None else f"{module_name}.{name}"
        if name is None:
            return Definition(module_name, ALL)
        if name in module.bindings:
            return Definition(module_name, name)
        if name in module.imports:
            return self._target(*module.imports[name])
        return self._target(f"{module_name}.{name}", None)

    def _named(self, text: str) -> Definition | None:
        """The function that a string "package.module:function" names, or what starting "package.module" executes."""
        found = _REFERENCE.fullmatch(text)
        module = self.module(found[1]) if found else None
        name = (found[2] or MAIN) if found else ""
        return Definition(module.name, name) if module is not None and name in module.bindings else None


class _Module:
    """Bindings of the top-level names of a file, and its other statements."""

    def __init__(self, name: str, tree: ast.Module):
        self.name = name
        self.imports: Imports = {}
        self.bindings: dict[str, list[Statement]] = {}
        self.loose: list[Statement] = []
        for statement in tree.body:
            if isinstance(statement, _IMPORTS):
                self.imports |= _imported(statement)
            elif isinstance(statement, ast.If) and "TYPE_CHECKING" in _names(statement.test):
                continue  # never executed
            elif isinstance(statement, ast.If) and "__name__" in _names(statement.test):
                self.bindings.setdefault(MAIN, []).append(_stripped(statement))
            else:
                self._bind(statement)

    def _bind(self, statement: ast.stmt) -> None:
        stripped = _stripped(statement)
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            names = {statement.name}
        else:
            self.imports |= stripped.imports  # as in `try: import x`
            inner = list(ast.walk(statement))
            names = {node.id for node in inner if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            names |= {node.name for node in inner if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
            if not names:  # `NAMES.append(x)` and `NAMES["x"] = y` belong to what NAMES is
                names = _names(statement) & self.bindings.keys()
        for name in names:
            self.bindings.setdefault(name, []).append(stripped)
        if not names:
            self.loose.append(stripped)


def _parsed(source: str, path: Path) -> ast.Module:
    """The syntax tree of a file without what changes no result: docstrings, annotations, help of settings."""
    tree = ast.parse(source, filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setting":
            node.args, node.keywords = node.args[:1], []  # of a setting the default, not its sentence and bounds
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, _FUNCTIONS):
            node.returns = None
    return tree


def _imported(statement: ast.Import | ast.ImportFrom) -> Imports:
    if isinstance(statement, ast.ImportFrom):
        return {alias.asname or alias.name: (statement.module or "", alias.name) for alias in statement.names}
    return {
        alias.asname or alias.name.split(".")[0]: (alias.name if alias.asname else alias.name.split(".")[0], None)
        for alias in statement.names
    }


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _chain(node: ast.Attribute) -> list | None:
    """The parts of `a.b.c`: the node of the name a, then "b" and "c"; None where it begins with something else."""
    attributes: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        attributes.insert(0, inner.attr)
        inner = inner.value
    return [inner, *attributes] if isinstance(inner, ast.Name) else None


class _WithoutImports(ast.NodeTransformer):
    """Takes the imports out of a statement: from where a name comes is not what is done with it."""

    def __init__(self) -> None:
        self.imports: Imports = {}

    def visit_Import(self, node: ast.Import) -> ast.Pass:
        """An import statement; Pass, since a block cannot be empty."""
        self.imports |= _imported(node)
        return ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.Pass:
        """As `visit_Import`."""
        self.imports |= _imported(node)
        return ast.Pass()


def _stripped(statement: ast.stmt) -> Statement:
    """Takes the imports out of a statement."""
    transformer = _WithoutImports()
    return Statement(transformer.visit(statement), transformer.imports)


def _only(statement: Statement, keys: Collection[str], or_none: bool) -> Statement:
    """The statement of a table with the entries of these keys alone; where it has none of them, with none or all."""
    tree = deepcopy(statement.tree)
    table = next(node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    entries = list(zip(table.keys, table.values, strict=True))
    kept = [(key, value) for key, value in entries if isinstance(key, ast.Constant) and key.value in keys]
    chosen = kept if kept or or_none else entries
    table.keys, table.values = [key for key, _ in chosen], [value for _, value in chosen]
    return Statement(tree, statement.imports)


def _free_names(statement: ast.stmt) -> set[str]:
    """The names in a statement that its module, or Python itself, must define."""
    source = ast.unparse(ast.Module([statement], []))
    top = symtable.symtable(source, "<statement>", "exec")
    free = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    waiting = list(top.get_children())
    while waiting:
        table = waiting.pop()
        free |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        waiting += table.get_children()
    return free


def _text(node: object) -> str:
    """A syntax tree as a text that is the same in all versions of Python which parse it alike."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind", "type_comment"))
        return f"{type(node).__name__}({','.join(f'{n}={_text(v)}' for n, v in fields if v not in (None, []))})"
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    return repr(node)
