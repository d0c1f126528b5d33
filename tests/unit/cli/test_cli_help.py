"""The command line itself: help, examples, version, errors."""

import errno
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

import brownid
from brownid.cli import app, settings

ROOT = typer.main.get_command(app)


def every_command(command=ROOT, path=()):
    """(words that name it, command) of every command that is no group."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from every_command(inner, (*path, name))
    else:
        yield path, command


COMMANDS = list(every_command())
NAMES = [" ".join(path) for path, _ in COMMANDS]


def examples_of(command) -> list[list[str]]:
    """The words of every example in a command's help."""
    text = command.help.replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^\s*(brownid .*)$", text, flags=re.M)]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_every_example_in_the_help_parses(path, command):
    examples = examples_of(command)
    assert examples, "every command shows an example"
    for words in examples:
        assert words[1 : len(path) + 1] == list(path)
        command.make_context("brownid", words[len(path) + 1 :])  # an unknown option or a missing argument raises


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_every_option_is_explained(path, command):
    assert all(getattr(parameter, "help", None) for parameter in command.params)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_no_command_has_more_than_twelve_options_of_its_own(path, command):
    shared = {"seed", "identities", "label", "generator", "weights", "setting", "overwrite"}
    own = [parameter for parameter in command.params if parameter.name not in shared]
    assert len(own) <= 12


@pytest.mark.parametrize("path", [[], *(list(path) for path, _ in COMMANDS)], ids=["brownid", *NAMES])
def test_the_help_names_no_types_of_python(run, path):
    text = run(*path, "--help").output
    assert not re.search(r"<\w+[^>]*>|list\[|Optional|INTEGER|FLOAT", text), text


def test_the_help_lists_settings_with_their_defaults_and_sentences(run):
    assert re.search(r"iterations=2000 +Number of updates; 0 packs nothing", run("pack", "--help").output)
    listed = run("invert", "--set", "help").output
    for line in (
        r"attempts=1 +Starts per identity",
        r"generator.world_seed=1 +procedural: ",
        r"network.reads_bytes +It reads",
    ):
        assert re.search(line, listed), listed


def test_the_keys_of_a_configuration_are_listed(run, refusal):
    assert re.search(r"^  langevin +Langevin dynamics; the defaults", run("settings").output, re.M)
    listed = run("settings", "references", "training_settings").output
    for line in (r"identities +Number of identities\. Required\.", r"milestones=\[12, 20, 26\] "):
        assert re.search(line, listed), listed
    assert "did you mean 'langevin'?" in refusal("settings", "langvin")


def test_settings_and_their_choices_are_completed():
    ctx = ROOT.commands["pack"].make_context("pack", ["a.h5", "-o", "b.h5"])
    assert settings.complete(ctx, "dec") == ["decay=", "decay_every="]
    assert settings.complete(ctx, "repulsion=c") == ["repulsion=closest"]


def test_commands_are_listed_in_the_order_of_use(run):
    text = run("--help").output
    places = [text.index(f" {name} ") for name in ("generate", "embed", "project", "edit", "samples", "plot", "verify")]
    assert places == sorted(places)


def test_the_version_is_the_package_s(run):
    assert run("--version").output == f"brownid {brownid.__version__}\n"


def test_help_imports_nothing_heavy():
    code = (
        "import sys, brownid.cli\n"
        "try:\n    brownid.cli.app(['edit', '--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'h5py', 'cv2', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_a_sentence_and_an_unforeseen_error_is_not(monkeypatch, refusal, tmp_path):
    def fail(error):
        def raising(*arguments, **keywords):
            raise error

        monkeypatch.setattr("brownid.samples.collection.merge", raising)

    words = ("samples", "merge", tmp_path / "a.h5", "-o", tmp_path / "b.h5")
    fail(OSError(errno.ENOSPC, "No space left on device", "b.h5"))
    assert refusal(*words) == "brownid: b.h5: No space left on device; make room there, then run again."
    fail(ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError):
        refusal(*words)
