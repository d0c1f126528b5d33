"""`brownid doctor`: everything that is missing at once, and the exit status says whether a run can start."""

from pathlib import Path

import pytest
import yaml

from brownid.cli import app

PROJECT = Path(__file__).parents[3]
TINY = PROJECT / "tests" / "tiny.yaml"


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Run `brownid doctor` in an empty folder on the tiny configuration and a change; returns status and text."""
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)

    def examine(change="{}", *words):
        (tmp_path / "change.yaml").write_text(change)
        files = ["--configfile", str(TINY), "--configfile", str(tmp_path / "change.yaml")]
        result = CliRunner().invoke(app, ["doctor", *files, *map(str, words)], catch_exceptions=False)
        return result.exit_code, result.output

    return examine


def test_the_tiny_configuration_has_all_it_needs(doctor):
    status, said = doctor("{}", "--free-disk", 10)
    assert status == 0 and "Nothing blocks this run." in said


def test_all_that_is_missing_is_said_at_once_with_what_to_do(doctor):
    change = {
        "networks": {
            "published": {
                "family": "nizhib",
                "architecture": "iresnet50",
                "weights": "models/iresnet50-7f187506.pth",
                "template": "two_eye",
            },
        },
        "benchmarks": {
            "agedb": {"file": "data/benchmarks/agedb_30.bin", "alignment": {"template": "arcface"}},
            "mine": {"file": "mine.bin", "alignment": {"template": "arcface"}},
        },
        "databases": {"pie": {"kind": "multipie", "root": "data/multipie"}},
    }
    status, said = doctor(yaml.safe_dump(change), "--free-disk", 10)
    assert status == 1 and "4 things block this run." in said
    assert "brownid models fetch nizhib-iresnet50" in said
    assert "the folder data/multipie (databases.pie.root) is missing" in said and "Carnegie Mellon" in said
    assert "data/benchmarks/agedb_30.bin" in said and "the catalogue does not know it" in said
    assert "Licences" in said and "nizhib-iresnet50: " in said


def test_a_disk_that_is_too_small_blocks(doctor):
    status, said = doctor("{}", "--free-disk", 0.0001)
    assert status == 1 and "1 thing blocks this run." in said and "make room" in said


def test_a_wrong_configuration_is_the_only_finding(doctor):
    status, said = doctor("references: {moved: {settings: {iteratons: 3}}}")
    assert status == 1 and "did you mean 'iterations'?" in said and "Disk" not in said


def test_a_configuration_that_is_not_utf_8_is_one_sentence(tmp_path):
    from brownid.planning.doctor import examine

    (tmp_path / "latin.yaml").write_bytes("seed: 1 # größer".encode("latin-1"))
    (finding,) = examine([tmp_path / "latin.yaml"])
    assert finding.level == "blocks" and "latin.yaml: no text in UTF-8: 'utf-8' codec" in finding.what


def test_without_a_configuration_the_sentence_says_where_to_get_one(refusal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("doctor", "estimate"):
        assert f"There is no config/config.yaml in {tmp_path}: name a file with --configfile" in refusal(command)


def test_paths_are_relative_to_the_working_directory_of_the_run(doctor, tmp_path):
    (tmp_path / "run/data/faces").mkdir(parents=True)
    (tmp_path / "run/data/faces/a.png").touch()
    change = "databases: {mine: {kind: portraits, root: data/faces}}"
    assert "the folder data/faces (databases.mine.root) is missing" in doctor(change)[1]
    assert "data/faces (databases.mine.root) is there" in doctor(change, "--directory", tmp_path / "run")[1]
    assert "(databases.mine.root) is missing" in doctor(change, "--directory", tmp_path / "new/run")[1]


def test_a_working_directory_with_a_configuration_of_its_own_is_examined_by_it(run, refusal, tmp_path, monkeypatch):
    for folder, text in (("project", TINY.read_text()), ("run", "seed: x")):
        (tmp_path / folder / "config").mkdir(parents=True)
        (tmp_path / folder / "config/config.yaml").write_text(text)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert "project/config/config.yaml: complete" in run("doctor", "--directory", tmp_path / "other").output
    monkeypatch.chdir(tmp_path / "other")
    from typer.testing import CliRunner

    said = CliRunner().invoke(app, ["doctor", "--directory", str(tmp_path / "run")]).output
    assert "seed: 'x' is not of type integer" in said


def test_values_of_the_command_line_are_examined_and_estimated(doctor, run):
    assert (
        "epochs: 2.5 is not of type integer"
        in doctor("{}", "--config", "training={fr_varied: {settings: {epochs: 2.5}}}")[1]
    )
    words = ["estimate", "--configfile", TINY, "--config", "variations={varied: {shards: 5}}"]
    assert "vary_references 6" in run(*words).output


def test_the_device_is_examined_where_it_is_asked_for(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from brownid.planning.resources import Finding

    def examined(timings, *configuration):
        yield Finding("fine", "Timings", f"written to {timings}")
        yield Finding("blocks", "Processes together", "NCCL between GPUs fails", "see NCCL_DEBUG=INFO")

    monkeypatch.setattr("brownid.planning.device.examine_device", examined)
    result = CliRunner().invoke(app, ["doctor", "--device", "--timings", "mine.yaml"], catch_exceptions=False)
    assert result.exit_code == 1 and "written to mine.yaml" in result.output
    assert result.output.endswith("1 thing blocks this device.\n")
