"""With `container` and the option for Apptainer, jobs run in the image; a stand-in takes the place of Apptainer."""

import sys

import pytest
from conftest import dry_run, snakemake

TARGET = "results/databases/multipie/capture.csv"
OPTIONS = ("--software-deployment-method", "apptainer", "--config")
STAND_IN = f"""#!{sys.executable}
import os, sys
words = sys.argv[1:]
print(*words, file=open({{log!r}}, "a"))
if words == ["--version"]:
    sys.exit(print("apptainer version 1.4.0"))
image = next(number for number, word in enumerate(words) if word.endswith(".sif"))
os.execvp(words[image + 1], words[image + 1 :])
"""


@pytest.fixture
def apptainer(tmp_path, monkeypatch):
    """A folder with an image; the words of each call stand in its file `calls`."""
    (tmp_path / "image.sif").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apptainer").write_text(STAND_IN.format(log=str(tmp_path / "calls")))
    (tmp_path / "bin/apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path


def test_an_image_changes_no_job_and_is_used_with_the_option_alone(apptainer):
    image = f"container={apptainer / 'image.sif'}"
    for options in (("--config", image), (*OPTIONS, image)):
        status, said = dry_run(apptainer / "run", TARGET, *options)
        assert status == 0 and "capture_database" in said
        assert (apptainer / "calls").exists() == ("apptainer" in options)


@pytest.mark.nightly
def test_a_job_runs_in_the_image(apptainer):
    image = f"container={apptainer / 'image.sif'}"
    status, said = snakemake(apptainer / "run", TARGET, *OPTIONS, image)
    assert status == 0, said
    assert (apptainer / "run" / TARGET).exists()
    assert f"{apptainer / 'image.sif'} bash -c" in (apptainer / "calls").read_text()
