"""The process around a job: its log, what its function is given, the sentences for what goes wrong, signs of life."""

import ast
import errno
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import Namedlist

from brownid.configuration.fingerprint import reached_definitions
from brownid.jobs.workers import available_memory
from brownid.runtime import process
from brownid.runtime.errors import BrownidError, sentence_of
from brownid.runtime.process import progress

SCRIPTS = Path(process.__file__).parents[2]
RULES = re.split(
    r"^ *rule (?=\w+:$)",
    "".join(path.read_text() for path in sorted(SCRIPTS.with_name("rules").glob("*.smk"))),
    flags=re.MULTILINE,
)[1:]


def test_a_job_knows_the_memory_that_its_rule_asks_for(monkeypatch):
    for name in (process.MEM_MB, process.DEVICE, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(process, "_granted", process.Granted())
    assert process.granted_memory() is None
    for resources, found in (({"mem_mb": 16000}, 16_000_000_000), ({}, None)):
        process._grant(resources)
        assert process.granted_memory() == found


def files(folder, content):
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    "groups, free",
    [
        ({}, 64),
        ({"memory.max": "max", "job/memory.max": "9", "job/memory.stat": "anon 2\nfile 6\n"}, 7),  # version 2
        ({"job/step/memory.max": "9", "job/step/memory.stat": "anon 2\n", "memory/job/x": ""}, 7),
        ({"memory/job/memory.limit_in_bytes": "8", "memory/job/memory.stat": "rss 1\ntotal_rss 3\n"}, 5),  # version 1
        ({"memory/memory.limit_in_bytes": "8", "memory/memory.stat": "total_rss 9\n"}, 0),  # in a container
    ],
)
def test_memory_that_is_free_is_that_of_machine_and_control_groups(tmp_path, groups, free):
    of_process = "12:cpu,memory:/job/step\n1:name=systemd:/a:b\n0::/job/step\n"
    files(tmp_path / "proc", {"meminfo": "MemTotal: 1 kB\nMemAvailable: 64 kB\n", "self/cgroup": of_process})
    files(tmp_path / "groups", groups)
    found = available_memory(tmp_path / "proc", tmp_path / "groups")
    assert found == (free * 1024 if not groups else free)
    assert available_memory(tmp_path) is None


@pytest.mark.parametrize(
    ("error", "last"),
    [
        ("OSError(28, 'x', 'out.h5')", "error: out.h5: No space left on device; make room there, then run again."),
        ("BrownidError('a.h5 is damaged.')", "error: a.h5 is damaged."),
        ("ZeroDivisionError('a defect')", "ZeroDivisionError: a defect"),
    ],
)
def test_a_log_begins_with_the_settings_and_ends_with_the_error(tmp_path, error, last):
    code = f"""
from brownid.runtime.errors import BrownidError
from types import SimpleNamespace
from brownid.runtime.process import start_job
params = {{"settings": {{"seed": 3, "name": "é"}}}}
start_job(SimpleNamespace(log=["log/job.log"], threads=1, params=params, resources={{}}))
raise {error}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)})
    lines = (tmp_path / "log" / "job.log").read_text(encoding="utf-8").splitlines()
    assert done.returncode == 1
    assert lines[1].endswith('settings {"name": "é", "seed": 3}')
    assert lines[-1].endswith(last) and ("Traceback" in "".join(lines)) == ("defect" in error)


def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "log").write_text("a file where the folder should be")
    code = """
from types import SimpleNamespace
from brownid.runtime.process import start_job
start_job(SimpleNamespace(log=["log/job.log"], threads=1))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("error: log"), done.stderr
    assert "choose another place" in done.stderr and "Traceback" not in done.stderr


def test_what_the_machine_refuses_is_a_sentence_and_a_defect_is_none():
    assert sentence_of(BrownidError("so it is")) == "so it is"
    assert sentence_of(PermissionError(errno.EACCES, "x", "/shut/a")).startswith("/shut/a: Permission denied; see to")
    assert "No space left" in sentence_of(RuntimeError("while serializing: I/O error: x (os error 28)"))
    assert "its disk or network file system fails" in sentence_of(OSError(errno.ESTALE, "x", "/nfs/a"))
    assert sentence_of(ConnectionResetError(errno.ECONNRESET, "x")) is None
    assert sentence_of(KeyError("x")) is None


def test_a_terminal_gets_a_bar_and_a_command_without_one_is_silent(monkeypatch, capsys):
    monkeypatch.setattr(process.logger, "level", logging.WARNING)
    assert list(process.progress(range(3), "counting")) == [0, 1, 2] and not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(process.progress(range(3), "counting")) == [0, 1, 2] and "counting" in capsys.readouterr().err


def test_a_long_loop_shows_life_in_a_log_and_a_short_one_nothing(monkeypatch, caplog):
    clock = iter(range(0, 1000, 10))  # ten seconds each time one looks
    monkeypatch.setattr(process.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO, "brownid")
    assert list(progress(range(9), "dispersion")) == list(range(9))
    assert caplog.messages == [
        "dispersion: 2 it of 9, 1 min 45 s left, 15 s each",
        "dispersion: 5 it of 9, 48 s left, 12 s each",
        "dispersion: 8 it of 9, 11 s left, 11.2 s each",
    ]
    caplog.clear()
    assert list(progress(iter("ab"), "short")) == ["a", "b"]
    assert not caplog.messages


@pytest.mark.parametrize(
    ("script", "rooms"),
    [
        ("capture_database", ["recognition", "verification", "dynamics"]),
        ("index_database", ["generators", "recognition"]),
        ("plot_dynamics", ["verification", "dynamics", "generators"]),
        ("render_images", ["recognition.backbones", "dynamics", "covariates"]),
        ("plot_distances", ["verification", "dynamics"]),
        ("sample_references", ["covariates.directions", "covariates.projection", "databases"]),
        ("fit_covariates", ["recognition", "generators"]),
        ("fit_within_class", ["recognition", "generators"]),
        ("show_within_class", ["dynamics", "training"]),
        ("package_release", ["release.verify", "generators"]),
    ],
)
def test_a_script_does_not_depend_on_what_its_stage_does_not_run(script, rooms):
    modules = {found.module for found in reached_definitions(SCRIPTS / f"{script}.py", SCRIPTS, {"procedural"})}
    assert script in modules
    assert all(find_spec(f"brownid.{room}") for room in rooms), "there is no such room"
    assert not [name for name in modules for room in rooms if f"{name}.".startswith(f"brownid.{room}.")]


@pytest.mark.parametrize("folder", ["/home/me/My Projects", "/it's", "/a$b", "/plain"])
def test_snakemake_starts_python_in_a_folder_of_any_name(tmp_path, monkeypatch, folder):
    python = tmp_path / folder.strip("/") / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", "/mine")
    for _ in range(2):  # an included Snakefile does it again
        process.prepare_snakemake(tmp_path)
        assert shlex.split(sys.executable) == [str(python)]
        assert os.environ["PYTHONPATH"] == f"{tmp_path}/workflow/scripts:/mine"


def test_a_project_in_a_folder_with_a_brace_is_refused():
    with pytest.raises(BrownidError, match=r"cannot run a workflow in /home/\{me\}: rename it"):
        process.prepare_snakemake(Path("/home/{me}"))


def named(**items):
    """A list with names, as Snakemake makes it of a rule's directive: a list under a name where it was given a list."""
    found = Namedlist()
    for name, value in items.items():
        first = len(found)
        found.extend(value if isinstance(value, list) else [value])
        found._set_name(name, first, len(found) if isinstance(value, list) else None)
    return found


@pytest.fixture
def job():
    """What Snakemake gives a script, of a rule with every kind of name."""
    return SimpleNamespace(
        input=named(weights="net.pt", start=["a.h5"], guard=[], shards_of=["1.h5", "2.h5"], waited_for="x"),
        output=named(samples="out.h5"),
        params=named(settings={"seed": 3}, state="state/x", code="abc"),
        wildcards=named(references="mine", shard="2"),
        config={"references": {"mine": {"batch_size": 8}, "other": {}}, "saving": {"minutes": 5}, "seed": 4},
        threads=3,
    )


def test_a_stage_is_given_what_its_rule_names_and_what_changes_no_result(job):
    given = {}

    def stage(
        settings, *, weights: Path, start: Path | None, guard: Path | None, shards_of: Sequence[Path], samples: Path,
        state: Path | None, shard: int, threads: int, detector, saving=None, batch_size: int = 64, seed=None,
    ):  # fmt: skip
        given.update(locals())

    process.run(stage, job, detector="mine")
    assert {name: given[name] for name in ("settings", "weights", "start", "guard", "shards_of", "samples")} == {
        "settings": {"seed": 3},
        "weights": Path("net.pt"),
        "start": Path("a.h5"),
        "guard": None,
        "shards_of": [Path("1.h5"), Path("2.h5")],
        "samples": Path("out.h5"),
    }
    assert (given["state"], given["shard"], given["threads"], given["detector"]) == (Path("state/x"), 2, 3, "mine")
    assert (given["saving"], given["batch_size"]) == ({"minutes": 5}, 8)
    assert given["seed"] is None, "what may change a result comes from the rule alone"


def test_a_wildcard_may_have_the_name_of_a_number_of_the_configuration(job):
    job.wildcards = named(references="mine", seed="2")
    given = {}
    process.run(lambda batch_size, seed: given.update(batch_size=batch_size, seed=seed), job)
    assert given == {"batch_size": 8, "seed": "2"}


def test_a_wildcard_in_the_singular_names_an_entry_too(job):
    job.wildcards, job.config["networks"] = named(network="own"), {"own": {"processes": 2, "keep": "none"}}
    given = {}
    process.run(lambda processes, keep: given.update(processes=processes, keep=keep), job)
    assert given == {"processes": 2, "keep": "none"}


def directive(rule, keyword):
    """The text of a directive of a rule, and the names in it."""
    found = re.search(rf"^( +){keyword}:\n((?:\1 .*\n)+)", rule, re.MULTILINE)
    return (found[2], re.findall(rf"^{found[1]}    (\w+)=", found[2], re.MULTILINE)) if found else ("", [])


def stage_of(script):
    """The parameters of the function that a script runs, with their annotations, and what else it is given."""
    tree = ast.parse((SCRIPTS / f"{script}.py").read_text())
    (call,) = (
        node.value
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.Expr) and ast.unparse(node.value.func) == "run"
    )
    (function,) = (
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == ast.unparse(call.args[0])
    )
    parameters = [*function.args.args, *function.args.kwonlyargs]
    assert function.name == script and ast.unparse(call.args[1]) == "snakemake"
    return {p.arg: ast.unparse(p.annotation) for p in parameters}, {keyword.arg for keyword in call.keywords}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.partition(":")[0])
def test_the_names_of_a_rule_and_of_the_function_that_it_runs_agree(rule):
    parameters, more = stage_of(re.search(r"scripts/(\w+)\.py", rule)[1])
    (_, inputs), (text, outputs), (_, params) = (directive(rule, part) for part in ("input", "output", "params"))
    files, wildcards = [*inputs, *outputs], set(re.findall(r"\{(\w+)", text))
    assert len({*files, *params, *more}) == len([*files, *params, *more]), "a name stands for two things"
    missing = parameters.keys() - {*files, *params, *wildcards, *more, *process.CHANGES_NO_RESULT, "threads"}
    assert not missing, "the rule does not name what the function asks for"
    assert not {*outputs, *params, *more} - parameters.keys() - {"code"}, "the function does not ask for it"
    kinds = {"Path", "Path | None", "Sequence[Path]"}
    assert {parameters[name] for name in {*files, "state"} & parameters.keys()} <= kinds
    assert all(parameters[name] == "int" for name in {"shard", "shards"} & parameters.keys())


def test_what_a_script_adds_is_a_path_as_the_files_of_its_rule_are():
    job = SimpleNamespace(config={}, wildcards={}, params={}, input={"images": "a"}, output={}, threads=1)

    def stage(*, images: Path, steps: Path | None = None) -> None:
        assert (images, steps) == (Path("a"), Path("b.csv"))

    process.run(stage, job, steps=Path("b.csv"))
