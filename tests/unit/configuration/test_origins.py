"""What the cards of a release are told of its origins: what took part, and what the catalogue knows of its files."""

from pathlib import Path

import pytest

from brownid.configuration.loading import load_configuration, merged
from brownid.configuration.origins import release_origins
from brownid.release.origins import Origins

PROJECT = Path(__file__).parents[3]


def origins(name, *values):
    return release_origins(load_configuration(merged([PROJECT / name], values), files=False))


@pytest.mark.parametrize(
    "name", ["config/config.yaml", "config/paper.yaml", "config/hyperface.yaml", "tests/tiny.yaml"]
)
def test_origins_survive_as_plain_values_in_the_settings_of_the_stage(name):
    found = origins(name)
    assert Origins.of(found.plain()) == found


@pytest.mark.parametrize("name", ["config/config.yaml", "tests/tiny.yaml"])
def test_the_embedded_world_has_neither_files_nor_photographs(name):
    assert origins(name).is_rendered


def test_the_published_datasets_are_of_the_files_that_the_catalogue_knows():
    found = origins("config/paper.yaml")
    (generator,) = found.generators["sg2"].files
    assert generator.licence == "Nvidia Source Code License-NC (non-commercial)" and not found.is_rendered
    assert found.networks["arc"].file.source == "https://github.com/nizhib/pytorch-insightface"
    assert {name for name, database in found.databases.items() if not database.rendered} == {"ffhq", "multipie"}
    assert found.datasets["sg2_n10k_arc_r14_lang_guarded"].leak_guard == "ffhq"
    assert found.datasets["sg2_n10k_arc_r14_disco_n64_rl14"].references == "sg2_n10k_arc_r14_lang_v1"


def test_a_file_that_the_catalogue_does_not_know_stays_unknown():
    found = origins("config/paper.yaml", "generators={sg2: {file: models/own.pkl}}")
    (generator,) = found.generators["sg2"].files
    assert (generator.path, generator.what, generator.licence) == ("models/own.pkl", None, None)


def test_galleries_and_starts_take_part_with_their_generators():
    found = origins("config/hyperface.yaml")
    assert {"arc2face", "ldm", "sg2"} == set(found.generators) and "ldm_n10k_random" in found.datasets
    alone = found.restricted(["hyperface_10k_ldm_n64"])
    assert set(alone.generators) == {"arc2face", "ldm"} and set(alone.networks) == {"arcface"}


def test_networks_trained_on_realigned_or_genuine_images_have_their_origins():
    found = origins("tests/tiny.yaml", "training={fr_varied: {datasets: [moved, moved_arcface, strangers]}}")
    assert found.datasets["moved_arcface"].references == "moved" and found.databases["strangers"].rendered
    assert set(found.restricted(found.training["fr_varied"]).datasets) == {"moved", "moved_arcface", "rejected"}
