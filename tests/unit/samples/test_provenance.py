"""Run statistics and command.yml: what made a result, without anything that differs between equal runs."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.samples import provenance
from brownid.samples.provenance import read_command, write_command
from brownid.samples.statistics import load_statistics, save_statistics


@dataclass(frozen=True)
class Settings:
    iterations: int
    radius: float
    folder: Path


def test_statistics_round_trip(tmp_path):
    save_statistics(tmp_path / "stats.h5", {"dist_min": torch.arange(3.0), "timestep": [0.1, 0.2, 0.3]})
    loaded = load_statistics(tmp_path / "stats.h5")
    np.testing.assert_array_equal(loaded["dist_min"], [0, 1, 2])
    np.testing.assert_array_equal(loaded["timestep"], [0.1, 0.2, 0.3])


def test_statistics_that_are_not_numbers_are_refused(tmp_path):
    with pytest.raises(BrownidError, match="statistic 'words'"):
        save_statistics(tmp_path / "stats.h5", {"words": ["a"]})
    assert not list(tmp_path.iterdir())


def test_a_damaged_or_strange_statistics_file_is_named(tmp_path):
    path = tmp_path / "stats.h5"
    save_statistics(path, {"timestep": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BrownidError, match=r"stats\.h5: this is not a readable HDF5 file"):
        load_statistics(path)
    with h5py.File(path, "w") as file:
        file.create_group("00000")
    with pytest.raises(BrownidError, match=r"stats\.h5: .*00000 is a group"):
        load_statistics(path)


def test_a_changed_byte_in_statistics_is_noticed(tmp_path):
    path = tmp_path / "stats.h5"
    save_statistics(path, {"dist_avg": np.arange(5.0), "energy": [7.0], "rows": np.ones((3, 2))})
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 23), *(whole.index(np.float64(x).tobytes()) + 6 for x in (3, 7, 1))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BrownidError, match=r"stats\.h5"):
            load_statistics(path)


def write_unmarked(path, **statistics):
    with h5py.File(path, "w") as file:
        for name, values in statistics.items():
            file[name] = np.array(values)


def test_earlier_statistics_of_references_are_read_as_the_share_above_the_threshold(tmp_path):
    write_unmarked(tmp_path / "stats.h5", prop_ict=[0.0, 0.25], nn_mean=[1.0, 1.0], dist_avg=[1.5, 1.5])
    loaded = load_statistics(tmp_path / "stats.h5")
    assert loaded["prop_ict"].tolist() == [1.0, 0.75] and loaded["dist_avg"].tolist() == [1.5, 1.5]


def test_earlier_statistics_of_variations_are_read_under_the_names_of_today(tmp_path, caplog):
    write_unmarked(
        tmp_path / "stats.h5", identities=[5.0], dist_avg=[0.4], dist_max=[0.6], intf_avg=[1.0], w2wd_avg=[9]
    )
    loaded = load_statistics(tmp_path / "stats.h5")
    assert loaded == {"identities": 5.0, "refd_avg": 0.4, "refd_max": 0.6, "w2wd_avg": 9}
    assert "left out intf_avg" in caplog.text


@pytest.mark.parametrize("names", [("prop_ict", "dist_avg", "totf_avg"), ("dist_avg", "intf_avg", "timestep")])
def test_statistics_of_the_authors_are_read_as_they_are(tmp_path, names):
    write_unmarked(tmp_path / "stats.h5", **{name: [0.25] for name in names})
    assert load_statistics(tmp_path / "stats.h5") == dict.fromkeys(names, 0.25)


def test_marked_statistics_are_read_as_they_are_and_newer_ones_refused(tmp_path):
    path = tmp_path / "stats.h5"
    save_statistics(path, {"prop_ict": [0.25], "nn_mean": [1.0], "identities": [2.0], "dist_avg": [1.0]})
    assert load_statistics(path)["prop_ict"] == 0.25 and "dist_avg" in load_statistics(path)
    with h5py.File(path, "r+") as file:
        file.attrs["statistics_version"] = 3
    with pytest.raises(BrownidError, match=r"stats\.h5: these statistics are of version 3; .* update it"):
        load_statistics(path)


def test_the_command_holds_settings_seed_inputs_revision_and_versions(tmp_path, monkeypatch):
    monkeypatch.setenv(provenance.REVISION_VARIABLE, "abc123-dirty")
    settings = {"run": Settings(3, 1.4, Path("a/b")), "sizes": (1, np.int64(2)), "array": np.eye(1)}
    write_command(tmp_path / "command.yml", settings=settings, seed=4, inputs={"x.h5": "f" * 64}, command="langevin")
    content = read_command(tmp_path / "command.yml")
    assert content["settings"] == {
        "array": [[1.0]],
        "run": {"folder": "a/b", "iterations": 3, "radius": 1.4},
        "sizes": [1, 2],
    }
    assert (content["seed"], content["inputs"], content["command"]) == (4, {"x.h5": "f" * 64}, "langevin")
    assert (content["revision"], content["tree_clean"]) == ("abc123", False)
    assert set(content["versions"]) == {"brownid", "python", "numpy", "torch"}


def test_equal_runs_give_equal_files_whatever_the_order_of_keys(tmp_path):
    for name, settings in {"a": {"x": 1, "y": {"p": 1, "q": 2}}, "b": {"y": {"q": 2, "p": 1}, "x": 1}}.items():
        write_command(tmp_path / name, settings=settings, seed=1, inputs={})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_tree_without_git_has_an_unknown_revision(monkeypatch):
    monkeypatch.delenv(provenance.REVISION_VARIABLE, raising=False)
    monkeypatch.setattr(provenance, "_git", lambda *_: None)
    assert provenance.code_revision() == ("unknown", "unknown")


def test_a_package_inside_somebody_elses_repository_does_not_take_its_revision(monkeypatch):
    monkeypatch.delenv(provenance.REVISION_VARIABLE, raising=False)
    monkeypatch.setattr(provenance, "_git", lambda verb, *_: "" if verb == "ls-files" else "their revision")
    assert provenance.code_revision() == ("unknown", "unknown")


def test_settings_that_yaml_does_not_know_are_refused(tmp_path):
    with pytest.raises(BrownidError, match=r"command\.yml: the setting .* of type Generator"):
        write_command(tmp_path / "command.yml", settings={"x": np.random.default_rng(0)}, seed=1, inputs={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "no YAML that can be read"),
        ("- 1", "lacks inputs"),
        ("seed: 1", "lacks inputs, revision, settings, versions"),
    ],
)
def test_a_file_that_is_no_command_is_named(tmp_path, text, sentence):
    (tmp_path / "command.yml").write_text(text)
    with pytest.raises(BrownidError, match=rf"command\.yml: .*{sentence}"):
        read_command(tmp_path / "command.yml")
