"""A stage's settings hold what its job uses, in an order that does not depend on the YAML file."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from brownid.configuration import paths, products, stages
from brownid.configuration.loading import load_configuration

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def config():
    raw = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())
    return load_configuration(raw, PROJECT / "workflow" / "schemas" / "config.schema.yaml")


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return value


CALLS = [
    (stages.capture_database, "strangers"),
    (stages.sample_references, "world_n100_lang"),
    (stages.vary_references, "world_n100_lang_disco_n8_rl14"),
    (stages.train_recognition, "fr_dispersion"),
    (stages.score_model, "fr_genuine"),
    (stages.project_database, "world_covariates"),
    (stages.measure_controls,),
    (stages.tabulate_scores,),
    (stages.package_release,),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0].__name__)
def test_the_order_of_keys_in_the_file_does_not_change_a_stage(config, call):
    function, *entries = call
    first = stages.sorted_keys(function(config, *entries))
    second = stages.sorted_keys(function(reordered(config), *entries))
    assert repr(first) == repr(second)


def test_a_references_stage_does_not_depend_on_how_its_network_was_trained(config):
    before = stages.sample_references(config, "world_n100_lang")
    config["networks"]["off_the_shelf"]["training"]["epochs"] += 1
    assert stages.sample_references(config, "world_n100_lang") == before


def test_the_number_of_shards_is_no_setting_of_the_variations(config):
    name = "world_n100_lang_disco_n8_rl14"
    before = stages.vary_references(config, name)
    changed = deepcopy(config)
    changed["variations"][name]["shards"] = 7
    assert stages.vary_references(changed, name) == before
    assert len(paths.variation_shards(changed, name, "h5")) == 7


def test_variations_show_the_persons_of_their_references(config):
    assert paths.namespace(config, "world_n100_lang_disco_n8_rl14") == "world_n100_lang"
    assert paths.namespace(config, "world_webface") == "world_webface"


def test_a_section_without_entries_matches_nothing():
    assert paths.alternatives({}, "variations") == "(?!)"


def test_the_release_holds_the_covariates_and_indexes_its_datasets_need(config):
    parts = products.release_parts(config)
    assert list(parts["covariates"]) == ["world_covariates"]
    assert list(parts["databases"]) == ["world_ffhq", "world_multipie"]
    assert all(isinstance(path, str) for path in products.files(parts))
