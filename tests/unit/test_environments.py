"""Each rule's conda environment has every package that its script imports: an environment must not lean on luck.

Snakemake's own site-packages leak into rule environments, so a run alone does not show what is missing.
"""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
SCRIPTS = PROJECT / "workflow" / "scripts"
PACKAGE_OF = {"cv2": "py-opencv", "torch": "pytorch", "yaml": "pyyaml", "sklearn": "scikit-learn", "PIL": "pillow"}


def environments():
    """(script, environment, text) of every rule."""
    found = []
    text = "".join(path.read_text() for path in sorted((PROJECT / "workflow/rules").glob("*.smk")))
    for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
        script = re.search(r"scripts/(\w+)\.py", rule)[1]
        environment = re.search(r"envs/(\w+)\.yaml", rule)[1]
        found.append(pytest.param(script, environment, rule, id=re.match(r"\w+", rule)[0]))
    return found


def module_imports(path):
    """The names that a file imports when it is executed, not those inside functions or for type checkers."""
    waiting = list(ast.parse(path.read_text()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def third_party(script):
    """The packages that a script and every `brownid` module executed with it import, rooms' __init__ included."""
    waiting, seen, found = [SCRIPTS / f"{script}.py"], set(), set()
    while waiting:
        for name in module_imports(waiting.pop()):
            top, *_ = parts = name.split(".")
            if top != "brownid":
                found |= {top} - set(sys.stdlib_module_names)
                continue
            for depth in range(1, len(parts) + 1):
                folder = SCRIPTS.joinpath(*parts[:depth])
                for path in (folder / "__init__.py", folder.with_suffix(".py")):
                    if path.exists() and path not in seen:
                        seen.add(path)
                        waiting.append(path)
    return found


@pytest.mark.parametrize(("script", "environment", "rule"), environments())
def test_the_environment_of_a_rule_has_what_its_script_imports(script, environment, rule):
    dependencies = yaml.safe_load((PROJECT / f"envs/{environment}.yaml").read_text())["dependencies"]
    there = {dependency.split()[0] for dependency in dependencies}
    assert {PACKAGE_OF.get(name, name) for name in third_party(script)} <= there


@pytest.mark.parametrize(("script", "environment", "rule"), environments())
def test_the_fingerprint_of_a_rule_is_that_of_its_script_and_environment(script, environment, rule):
    assert f'code=code("{script}", "{environment}")' in rule


@pytest.mark.parametrize("path", sorted((PROJECT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_environment_pins_the_minor_versions_of_the_requirements(path):
    pinned = dict(line.split("==") for line in (PROJECT / "requirements.txt").read_text().splitlines() if "==" in line)
    names = {"pytorch": "torch", "py-opencv": "opencv-python-headless", "pyyaml": "PyYAML"}
    for dependency in yaml.safe_load(path.read_text())["dependencies"]:
        name, version = dependency.replace("=", " ").split()
        if name != "python":
            assert pinned[names.get(name, name)].startswith(f"{version}."), dependency
