"""Layouts and training sets of the release follow from the configuration; wrong ones stop before any work."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from brownid.configuration import products, stages
from brownid.configuration.loading import load_configuration
from brownid.configuration.release import layouts, released_datasets, training_sets
from brownid.exports.layouts import LAYOUTS
from brownid.release.contents import LAYOUT_FOLDERS
from brownid.runtime.errors import BrownidError

TINY = Path(__file__).parents[2] / "tiny.yaml"


def loaded(**release):
    """The tiny configuration with other keys of its release."""
    raw = yaml.safe_load(TINY.read_text())
    raw["release"] = {**raw["release"], "training_sets": None, **release}
    return load_configuration(raw)


def refusal(**release):
    with pytest.raises(BrownidError) as caught:
        loaded(**release)
    return str(caught.value)


def test_every_layout_has_a_writer_and_a_folder():
    assert set(LAYOUTS) == set(LAYOUT_FOLDERS)
    assert layouts(loaded(layouts=[*LAYOUTS, "published"])) == [*LAYOUTS, "published"]


def test_variations_are_joined_with_their_references_and_no_dataset_is_left_out():
    config = loaded(datasets=["varied", "packed"])
    # the crops of the network's training differ, so there is no set of its data
    assert training_sets(config) == {"varied": ["moved", "varied"], "packed": ["packed"]}
    assert released_datasets(config) == ["varied", "packed", "moved"]


def test_the_data_of_a_released_network_are_a_training_set_unless_they_are_one_already():
    raw = yaml.safe_load(TINY.read_text())
    raw["release"]["training_sets"] = None
    raw["training"]["fr_varied"]["datasets"] = ["moved", "varied", "packed"]
    assert training_sets(load_configuration(raw)) == {
        "varied": ["moved", "varied"],
        "fr_varied": ["moved", "varied", "packed"],
    }
    raw["training"]["fr_varied"]["datasets"] = ["varied", "moved"]
    assert "fr_varied" not in training_sets(load_configuration(raw))
    raw["training"]["fr_varied"]["datasets"] = ["moved", "varied", "rejected"]  # not released
    assert "fr_varied" not in training_sets(load_configuration(raw))
    raw["training"]["fr_varied"]["datasets"] = ["strangers"]  # genuine
    assert "fr_varied" not in training_sets(load_configuration(raw))
    raw["training"] = {"varied": {**raw["training"]["fr_varied"], "datasets": ["moved"]}}
    raw["release"]["models"], raw["scoring"] = ["varied"], {}
    with pytest.raises(BrownidError, match="would have two training sets 'varied'"):
        load_configuration(raw)


def test_a_training_of_the_name_of_a_dataset_without_a_set_is_refused():
    raw = yaml.safe_load(TINY.read_text())
    raw["training"] = {"moved": {**raw["training"]["fr_varied"], "datasets": ["moved_arcface"]}}
    raw["release"] |= {"datasets": ["moved"], "models": ["moved"], "training_sets": None}
    raw["scoring"] = {}
    with pytest.raises(BrownidError, match=r"two training sets .moved., that of training\.moved and"):
        load_configuration(raw)


def test_single_images_are_published_up_to_a_number_of_images():
    assert layouts(loaded(published_limit=24)) == ["parquet", "published"]  # 6 + 12 + 6
    assert layouts(loaded(published_limit=23)) == ["parquet"]
    assert layouts(loaded(published_limit=0, layouts=["published"])) == ["published"]


def test_without_the_published_layout_no_image_shard_goes_into_the_package():
    parts = products.release_parts(loaded(layouts=["parquet"]))
    assert all(not files["images"] for files in parts["datasets"].values())
    assert parts["training_sets"]["varied"] == {"parquet": "results/exports/parquet/varied/export.json"}
    assert products.release_parts(loaded(layouts=["published"]))["training_sets"] == {}


def test_an_export_depends_on_its_data_layout_and_shard_size_only():
    first = loaded(layouts=["parquet", "recordio"])
    other = loaded(layouts=["parquet", "recordio"], licence="CC-BY-4.0", shard_size=7, creator="others", version="2")
    settings = [stages.export_training_set(config, "parquet", "varied") for config in (first, other)]
    assert settings[0] | {"shard_size": 7} == settings[1]
    assert [part["name"] for part in settings[0]["parts"]] == ["moved", "varied"]
    single = [stages.export_training_set(config, "recordio", "varied") for config in (first, other)]
    assert single[0] == single[1]


def test_a_realigned_dataset_has_the_latents_of_the_one_that_it_shows():
    config = loaded(training_sets={"moved": ["moved_arcface"], "rest": ["varied", "packed"]})
    (part,) = stages.export_training_set(config, "parquet", "moved")["parts"]
    assert part["images"] == ["results/images/moved_arcface/1-of-1.arrow"]
    assert part["samples"] == "results/references/moved/samples.h5"
    assert stages.package_release(config)["templates"] == {"moved": "arcface", "rest": "two_eye"}


def test_a_date_needs_no_quotes():
    assert loaded(date=date(2026, 1, 31))["release"]["date"] == loaded(date="2026-01-31")["release"]["date"]
    assert "'31.1.2026'" in refusal(date="31.1.2026")


@pytest.mark.parametrize(
    ("release", "sentence"),
    [
        ({"layouts": ["parqet"]}, "'parqet' is not one of parquet, published, recordio, webdataset, lmdb"),
        ({"training_sets": {"all": ["moved", "vared"]}}, "there is no dataset 'vared'; did you mean 'varied'?"),
        ({"training_sets": {"all": ["moved", "strangers"]}}, "has 'strangers', which has the images of a genuine"),
        ({"training_sets": {"all": ["moved", "moved_arcface"]}}, "release.training_sets.all joins different crops"),
        ({"training_sets": {"all": []}}, "release.training_sets.all: [] "),
        ({"training_sets": {"all": ["moved", "moved"]}}, "release.training_sets.all: 'moved' is listed twice"),
        ({"training_sets": {"a/b": ["moved"]}}, "the name 'a/b' may contain letters, digits"),
        ({"training_sets": {"all\n": ["moved"]}}, r"the name 'all\n' may contain letters, digits"),
        ({"training_sets": {}, "layouts": ["parquet"]}, "release.datasets has 'moved', but no training set has it"),
        ({"shard_size": 0}, "release.shard_size"),
    ],
)
def test_what_cannot_be_released_is_a_sentence(release, sentence):
    assert sentence in refusal(**release)


def test_pictures_of_photographs_stay_out_of_a_release(tmp_path):
    raw = yaml.safe_load(TINY.read_text())
    raw["databases"]["portraits"] = {"kind": "portraits", "root": str(tmp_path)}
    raw["databases"]["people"] = {"kind": "people", "root": str(tmp_path)}
    raw["training"]["fr_genuine"] = {**raw["training"]["fr_varied"], "datasets": ["people"]}
    raw["release"]["models"] = ["fr_varied", "fr_genuine"]
    photographed, rendered = (
        products.release_parts(load_configuration(each)) for each in (raw, yaml.safe_load(TINY.read_text()))
    )
    people = products.pictures_of_people(load_configuration(raw))
    assert {path.split("/", 1)[1] for path in people} >= {"training/fr_genuine/seed_1/train_data.png"}
    assert any("/leaks/" in path for path in people) and not any("fr_varied" in path for path in people)
    assert products.pictures_of_people(load_configuration(yaml.safe_load(TINY.read_text()))) == []
    assert not any("/leaks/" in path for path in photographed["figures"])
    assert any("/leaks/" in path for path in photographed["tables"])
    assert photographed["models"]["fr_genuine/seed_1"]["batch"] == []
    assert photographed["models"]["fr_varied/seed_1"]["batch"] == "results/training/fr_varied/seed_1/train_data.png"
    assert any("/leaks/" in path for path in rendered["figures"])
