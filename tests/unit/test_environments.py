"""Each rule's conda environment has every package that its script imports, and the package all files that it reads.

Snakemake's own site-packages leak into rule environments, so a run alone does not show what is missing.
"""

import ast
import logging
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, ResourceSettings

from brownid.planning.doctor import NEEDED

PROJECT = Path(__file__).parents[2]
SCRIPTS = PROJECT / "workflow" / "scripts"
ON_THE_INDEX = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "sklearn": "scikit-learn", "PIL": "pillow"}
PACKAGE_OF = {"cv2": "py-opencv", "torch": "pytorch", "yaml": "pyyaml", "sklearn": "scikit-learn", "PIL": "pillow"}


PINNED = ("requirements.txt", "requirements-extras.txt", "requirements-development.txt")


def pinned_versions(name):
    """The version of each package in a requirements file."""
    return dict(line.split("==") for line in (PROJECT / name).read_text().splitlines() if not line.startswith("#"))


def environments():
    """(script, environment, text) of every rule."""
    found = []
    text = "".join(path.read_text() for path in sorted((PROJECT / "workflow/rules").glob("*.smk")))
    for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
        script = re.search(r"scripts/(\w+)\.py", rule)[1]
        environment = re.search(r"envs/([\w-]+)\.yaml", rule)[1]
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


def packages(environment):
    """The names in an environment file."""
    dependencies = yaml.safe_load((PROJECT / f"envs/{environment}.yaml").read_text())["dependencies"]
    return {dependency.split()[0] for dependency in dependencies}


def content(environment):
    """What an environment file brings: pytorch-gpu is a pytorch."""
    return packages(environment) | {name.removesuffix("-gpu") for name in packages(environment)}


def packages_for(imports):
    """The conda packages of what is imported; Snakemake is there wherever a rule file is read."""
    return {PACKAGE_OF.get(name, name) for name in imports}


def third_party(*files):
    """The packages that files and every `brownid` module executed with them import, rooms' __init__ included."""
    waiting, seen, found = list(files), set(), set()
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
    assert packages_for(third_party(SCRIPTS / f"{script}.py")) <= content(environment)


WITHOUT_NETWORKS = (
    *(
        "audit_leaks",
        "fetch_model",
        "fit_covariates",
        "fit_within_class",
        "index_database",
        "merge_variations",
        "align_database",
    ),
    *("package_release", "plot_distances", "plot_dynamics", "prepare_benchmark", "realign_images", "show_faces"),
    *("build_gallery", "write_report", "tabulate_scores", "compare_scores", "verify_release"),
)


def test_jobs_that_run_no_network_start_without_importing_torch_or_scikit_learn():
    code = (
        "import sys\n"
        "for script in sys.argv[1:]:\n"
        "    __import__(script)\n"
        "    heavy = {'torch', 'sklearn'} & set(sys.modules)\n"
        "    sys.exit(f'{script} imports {heavy}') if heavy else None\n"
    )
    command = [sys.executable, "-c", code, *WITHOUT_NETWORKS]
    done = subprocess.run(command, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_environment_of_the_workflow_has_what_its_rule_files_import(tmp_path):
    imports = tmp_path / "imports.py"
    lines = (PROJECT / "workflow/rules/common.smk").read_text().splitlines()
    imports.write_text("\n".join(line for line in lines if line.startswith(("import ", "from "))))
    assert packages_for(third_party(imports)) | {"snakemake", "snakemake-executor-plugin-slurm"} <= content("workflow")
    assert "rich" in third_party(SCRIPTS / "snakemake_logger_plugin_brownid/display.py") & content("workflow")


@pytest.mark.parametrize(("script", "environment", "rule"), environments())
def test_rules_with_a_gpu_are_those_of_an_environment_with_cuda(script, environment, rule):
    assert ("gpu=" in rule) == ("pytorch-gpu" in packages(environment))


@pytest.mark.parametrize(("script", "environment", "rule"), environments())
def test_several_gpus_are_on_one_node(script, environment, rule):
    assert ("nodes=1" in rule) == ("gpu=" in rule and "gpu=1" not in rule)


def test_what_a_profile_asks_for_all_gpu_rules_reaches_these_and_no_others(tmp_path, monkeypatch):
    profile = yaml.safe_load((PROJECT / "profiles/slurm/config.yaml").read_text())
    asked, threads = profile["set-resources"], profile["set-threads"]
    assert asked["gpu_rules"] == {"slurm_partition": "gpu"} and threads == {"gpu_rules": 8}
    asked |= {"score_model": {"slurm_partition": "own"}, "show_faces": {"slurm_partition": "own"}}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")  # the workflow sets it
    own = {"score_model": 2, "show_faces": 3}
    settings = ResourceSettings(cores=16, overwrite_resources=asked, overwrite_threads=threads | own)
    with SnakemakeApi(OutputSettings(log_level_override=logging.ERROR, enable_file_logging=False)) as api:
        workflow = api.workflow(settings, snakefile=PROJECT / "Snakefile", workdir=tmp_path)._workflow
        found = {rule.name: dict(rule.resources) for rule in workflow.rules}
    partitions = {name: own["slurm_partition"].raw for name, own in found.items() if "slurm_partition" in own}
    with_gpu = {rule.id: "gpu" for rule in environments() if "gpu=" in rule.values[2]}
    assert partitions == with_gpu | {"score_model": "own", "show_faces": "own"}
    cores = {name: resources["_cores"].raw for name, resources in found.items()}
    several = {rule.id for rule in environments() if "processes\n" in rule.values[2]}
    assert {name for name, count in cores.items() if count == 8} == with_gpu.keys() - several - own.keys()
    assert {name: cores[name] for name in own} == own and not {cores[name] for name in several} & {1, 8}


def test_profiles_do_not_clash_with_the_default_one():
    def keys(name):
        return set(yaml.safe_load((PROJECT / f"profiles/{name}/config.yaml").read_text()))

    assert not keys("default") & (keys("slurm") | keys("local"))


def test_rules_leave_retries_to_the_profile_where_slurm_must_hear_of_them():
    for rule in environments():
        assert "retries:" not in rule.values[2] or "localrule: True" in rule.values[2]


@pytest.mark.parametrize("path", sorted((PROJECT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_environment_takes_nothing_from_the_default_channels(path):
    assert yaml.safe_load(path.read_text())["channels"][-1] == "nodefaults"


@pytest.mark.parametrize(("script", "environment", "rule"), environments())
def test_the_fingerprint_of_a_rule_is_that_of_its_script_and_environment(script, environment, rule):
    name = re.match(r"\w+", rule)[0]
    first, second, *others = re.findall(r'(?:\w+=)?"\w[\w-]*"', re.search(r"code=code\(([^)]*)\)", rule)[1])
    assert (first, second) == (f'"{name}"', f'"{environment}"')
    assert script == name or f'script="{script}"' in others


@pytest.mark.parametrize("path", sorted((PROJECT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_environment_pins_the_minor_versions_of_the_requirements(path):
    pinned = {name: version for pins in map(pinned_versions, PINNED) for name, version in pins.items()}
    names = {"pytorch": "torch", "pytorch-gpu": "torch", "py-opencv": "opencv-python-headless", "pyyaml": "PyYAML"}
    names["python-lmdb"] = "lmdb"
    for dependency in yaml.safe_load(path.read_text())["dependencies"]:
        name, version = dependency.replace("=", " ").split()
        if name != "python":
            assert pinned[names.get(name, name)].startswith(f"{version}."), dependency


def requirements():
    """What pyproject.toml asks for, without the tools of development."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(line for name in extras if name != "development" for line in extras[name])]


def names_on_the_index(lines):
    """The normalized names of requirements."""
    return {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in lines}


def test_a_package_is_pinned_once_in_the_file_of_those_who_need_it():
    users, extras, development = (names_on_the_index(pinned_versions(name)) for name in PINNED)
    assert not users & extras and not (users | extras) & development
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    needed = {extra: names_on_the_index(lines) for extra, lines in project["optional-dependencies"].items()}
    assert names_on_the_index(project["dependencies"]) | needed["workflow"] <= users
    assert set().union(*(needed[extra] for extra in ("onnx", "diffusion", "hub", "lmdb", "cluster"))) <= extras
    assert {"pytest", "ruff", "mypy", "snakefmt", "datasets"} <= development
    assert needed["development"] <= users | extras | development


def commands_of_make(target, *arguments):
    """What `make` would run to build a target in a clone without an environment."""
    command = ["make", "--dry-run", "--no-print-directory", "VENV=no/such", target, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_index_for_torch_is_asked_for_torch_alone():
    (pinned,) = (
        f"torch=={version}" for name, version in pinned_versions("requirements.txt").items() if name == "torch"
    )
    install = [line for line in commands_of_make("release", "TORCH_INDEX=https://e.org/cpu") if "-m pip" in line]
    assert install[0].endswith(f"install --no-deps --index-url 'https://e.org/cpu' {pinned}")
    assert not [line for line in install[1:] if "e.org" in line]


def test_users_get_no_tools_of_development():
    assert not [line for line in commands_of_make("release") if "development" in line]
    assert [line for line in commands_of_make("test") if "requirements-development.txt" in line]
    (extra,) = (line for line in commands_of_make("cluster") if "[cluster]" in line)
    assert "--constraint requirements-extras.txt" in extra


def test_dependencies_and_extras_name_every_package_that_is_imported_anywhere():
    imported = set()
    for path in (SCRIPTS / "brownid").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        checked = [node for node in nodes if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
        for_type_checkers = {child for node in checked for child in ast.walk(node)}
        for node in set(nodes) - for_type_checkers:
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    # Type checkers, for which alone typing_extensions is imported, bring it.
    imported -= {"brownid", "typing_extensions", *sys.stdlib_module_names}
    required = {re.match(r"[\w-]+", line)[0] for line in requirements()}
    assert {ON_THE_INDEX.get(name, name) for name in imported} <= required


@pytest.mark.parametrize("package", NEEDED, ids=lambda package: package.module)
def test_a_missing_package_is_installed_as_pyproject_names_it(package):
    assert any(re.fullmatch(rf"{re.escape(package.install)}([>=].*)?", line) for line in requirements())


def test_every_file_of_the_package_is_installed_with_it():
    setuptools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setuptools["package-data"]["*"]
    for path in (SCRIPTS / "brownid").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} is no package: setuptools would not find it"
            assert path.suffix == ".py" or any(path.match(pattern) for pattern in patterns), path
