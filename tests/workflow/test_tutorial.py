"""The tutorial docs/start/stylegan2.md as it is written: from a StyleGAN2 pickle to faces and a dataset."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, pending
from typer.testing import CliRunner

from brownid.cli import app
from brownid.recognition.backbones import Description

TUTORIAL = (PROJECT / "docs/start/stylegan2.md").read_text(encoding="utf-8")
FILES, *COMMANDS = [block.strip() for block in re.findall(r"```sh\n(.*?)```", TUTORIAL, flags=re.S)]
RENDERED = {"sample_references": 1, "vary_references": 1, "merge_variations": 1, "render_images": 2, "show_faces": 2}


def shell(command, folder):
    """Run a line of the document in a folder that holds a clone, with the programs of this environment."""
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": folder / "workflow/scripts"}
    environment = {**os.environ, **{name: str(value) for name, value in paths.items()}}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_three_commands_follow_the_files():
    assert [words.split()[:2] for words in COMMANDS] == [
        ["brownid", "init"],
        ["snakemake", "images"],
        ["brownid", "export"],
    ]


def lines_of_the_first_command():
    return re.findall(r"^(?:wrote|  generator|  network|next).*$", TUTORIAL, flags=re.M)


def test_the_first_command_writes_what_the_second_renders(tmp_path, monkeypatch):
    for name in ("torch_utils", "torch_utils.persistence"):  # the example puts them there
        monkeypatch.setitem(sys.modules, name, None)
    # Finding which network a file fits takes seconds; tests/unit/cli/test_cli_init.py and the last test here do it.
    network = Description("insightface", "iresnet18", 112, 512)
    monkeypatch.setattr("brownid.planning.initial.fitting_networks", lambda path: [network])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stylegan2_pickle.py"])
    runpy.run_path(str(PROJECT / "examples/stylegan2_pickle.py"), run_name="__main__")
    _, *words = shlex.split(COMMANDS[0])
    said = CliRunner().invoke(app, words, catch_exceptions=False).output
    assert all(line in said for line in lines_of_the_first_command())
    assert pending(tmp_path, "images", configfiles=(tmp_path / "mine.yaml",)) == RENDERED


@pytest.mark.nightly
def test_the_commands_of_the_tutorial_end_in_an_opened_dataset(clone, monkeypatch, tmp_path):
    shutil.copytree(PROJECT / "examples", clone / "examples")
    _, written, _, said = [shell(command, clone) for command in (FILES, *COMMANDS)]
    assert all(line in written for line in lines_of_the_first_command())
    assert "wrote dataset (40 images of 8 identities as parquet)" in said
    assert (clone / "results/figures/faces/faces_n4.png").is_file()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    from datasets import load_dataset

    rows = load_dataset(str(clone / "dataset"), split="train")
    assert len(rows) == 40 and rows[0]["image"].size == (112, 112)
    assert sorted(set(rows["label"])) == list(range(8))
