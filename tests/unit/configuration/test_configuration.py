"""A configuration is complete after loading, and each mistake in one is a sentence."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from brownid.configuration.loading import load_configuration, read_schema
from brownid.generators.settings import StyleGAN2Sizes, StyleGAN3Sizes
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.generators.stylegans import stylegan2_shape, stylegan3_shape
from brownid.recognition.backbones import FAMILIES
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_yaml

PROJECT = Path(__file__).parents[3]
DEFAULT = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())
DEFINITIONS = read_schema()["$defs"]
LANG, DISCO = "world_n100_lang", "world_n100_lang_disco_n8_rl14"


@pytest.fixture
def config():
    return deepcopy(DEFAULT)


def refusal(config):
    with pytest.raises(BrownidError) as caught:
        load_configuration(config)
    return str(caught.value)


def test_the_default_configuration_is_complete_after_loading(config):
    loaded = load_configuration(config)
    assert loaded["references"][LANG]["settings"]["latent_force"] == 0.1
    assert loaded["scoring"]["false_accept_rates"]


def test_loading_does_not_change_what_it_is_given(config):
    load_configuration(config)
    assert config == DEFAULT


def test_every_key_of_the_schema_has_a_description_or_speaks_for_itself():
    silent = []

    def walk(node, path):
        for name, child in node.get("properties", {}).items():
            if not {"description", "$ref", "enum", "properties"} & set(child) and child.get("type") != "object":
                silent.append(f"{path}.{name}")
            walk(child, f"{path}.{name}")

    for name, definition in DEFINITIONS.items():
        walk(definition, name)
    assert [name for name in silent if not name.startswith("covariate_scales.")] == []


def test_a_misspelt_key_is_named_with_the_one_that_was_meant(config):
    config["references"][LANG]["settings"]["iteratons"] = 3
    assert f"references.{LANG}.settings: there is no key 'iteratons'; did you mean 'iterations'?" in refusal(config)


def test_an_unknown_key_at_the_top_level_is_refused(config):
    config["color"] = 3
    assert "the top level: there is no key 'color'" in refusal(config)


def test_a_number_that_yaml_reads_as_text_is_explained(config):
    config["references"][LANG]["settings"].update(yaml.safe_load("latent_force: 1e-4"))
    assert "'1e-4' is not of type number (YAML reads this as text" in refusal(config)


def test_several_mistakes_are_told_at_once(config):
    config["seed"] = "one"
    config["images"]["template"] = "arcfaces"
    said = refusal(config)
    assert "seed: 'one' is not of type integer" in said and "'arcfaces' is not one of arcface, two_eye" in said


def test_settings_of_another_algorithm_are_refused(config):
    config["references"][LANG]["algorithm"] = "random"
    assert "there is no key 'iterations'" in refusal(config)


@pytest.mark.parametrize(
    ("section", "entry", "key"),
    [
        ("references", LANG, "generator"),
        ("references", LANG, "leak_guard"),
        ("variations", DISCO, "covariates"),
        ("networks", "steering", "database"),
        ("covariates", "world_covariates", "network"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(config, section, entry, key):
    config[section][entry][key] = "nowhere"
    assert f"{section}.{entry}.{key}: there is no entry 'nowhere' under" in refusal(config)


def test_a_dataset_misspelt_in_a_training_is_found(config):
    config["training"]["fr_dispersion"]["datasets"] = ["world_n100_long"]
    assert "did you mean 'world_n100_lang'?" in refusal(config)


def test_a_comparison_names_two_entries_that_are_there(config):
    config["scoring"] = {"comparisons": [["fr_disco", "fr_genuine"], ["fr_disco", "fr_genuin"]]}
    assert "scoring.comparisons[1]: there is no entry 'fr_genuin'" in refusal(config)
    config["scoring"] = {"comparisons": [["fr_disco", "judge"]], "networks": ["steering"]}
    assert "scoring.comparisons[0] names 'judge', which scoring.networks leaves out" in refusal(config)
    config["scoring"] = {"networks": ["fr_disco"]}
    assert "scoring.networks: there is no entry 'fr_disco' under networks" in refusal(config)
    config["scoring"]["comparisons"] = [["fr_disco", "fr_disco"]]
    assert "'fr_disco' is listed twice" in refusal(config)
    config["scoring"]["comparisons"] = [["fr_disco"]]
    assert "scoring.comparisons" in refusal(config)


def test_references_that_start_from_each_other_are_a_circle(config):
    config["references"]["world_n100_random"].update(algorithm="langevin", start=LANG)
    assert "in a circle: world_n100_random -> world_n100_lang -> world_n100_random" in refusal(config)


def test_one_name_for_two_datasets_is_refused(config):
    config["variations"][LANG] = config["variations"].pop(DISCO)
    assert f"The name '{LANG}' stands under references and under variations" in refusal(config)


def test_a_person_in_two_databases_is_refused(config):
    config["databases"]["world_ffhq"]["capture"]["first_person"] = 599
    assert "share person 599" in refusal(config)


def test_a_benchmark_of_people_that_networks_learned_is_refused(config):
    config["benchmarks"]["lfw"]["capture"]["first_person"] = 30050
    assert "lfw" in (said := refusal(config)) and "share person" in said


def test_a_person_in_benchmarks_of_two_groups_is_refused_and_in_two_of_one_group_is_not(config):
    config["benchmarks"]["lfw"]["group"] = "development"
    assert "share person 40000" in refusal(config)
    config["benchmarks"]["lfw"]["capture"]["first_person"] = 50_000
    assert load_configuration(config)["benchmarks"]["calfw"]["group"] == "evaluation"


def test_networks_are_released_with_their_scores_on_evaluation_benchmarks(config):
    config["benchmarks"] = {name: entry | {"group": "development"} for name, entry in config["benchmarks"].items()}
    assert "there are no benchmarks of the group 'evaluation'" in refusal(config)


def test_disco_without_covariates_is_refused(config):
    del config["variations"][DISCO]["covariates"]
    assert f"variations.{DISCO}" in refusal(config)


def test_within_class_variations_need_covariates_and_take_neither_scales_of_disco_nor_others_settings(config):
    entry = config["variations"][DISCO]
    entry["algorithm"] = "within_class"
    settings = load_configuration(config)["variations"][DISCO]["settings"]
    assert settings["initial_noise"] == 0.0 and settings["within_class_scale"] == 1.0
    entry["covariate_scales"] = {"smile": 0.5}
    assert f"variations.{DISCO}.covariate_scales: this key means nothing with the algorithm" in refusal(config)
    entry["covariate_scales"] = None
    entry["settings"]["variance_share"] = 0
    assert "variance_share: 0 is less than or equal to the minimum of 0" in refusal(config)
    del entry["settings"]["variance_share"], entry["covariates"]
    assert f"variations.{DISCO}" in refusal(config)
    entry.update(algorithm="dispersion", settings={"within_class_scale": 2.0})
    assert "there is no key 'within_class_scale'" in refusal(config)


def test_within_class_variations_need_covariates_of_the_generator_of_their_references(config):
    config["generators"]["other"] = {**config["generators"]["world"], "world_seed": 5}
    config["covariates"]["world_covariates"]["generator"] = "other"
    config["variations"][DISCO]["algorithm"] = "within_class"
    assert "latents mean nothing in another generator" in refusal(config)


def test_variations_in_w_plus_need_covariates_that_were_projected_there(config):
    config["variations"][DISCO].update(algorithm="within_class", settings={"space": "w_plus"})
    assert "set covariates.world_covariates.projection.space to w_plus" in refusal(config)
    config["covariates"]["world_covariates"]["projection"]["space"] = "w_plus"
    assert load_configuration(config)["variations"][DISCO]["settings"]["space"] == "w_plus"


def test_a_database_needs_either_a_folder_or_a_capture(config):
    config["databases"]["world_ffhq"].pop("capture")
    assert "databases.world_ffhq: give exactly one of root, capture" in refusal(config)


def test_a_network_that_reads_other_crops_than_the_aligned_images_is_refused(config):
    config["images"]["image_size"] = 64
    assert "networks.steering.image_size is 56, but images.image_size is 64" in refusal(config)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"eyes": [[1, 2], [3, 2]], "landmarks": [[1, 2], [3, 2], [2, 3], [1, 4], [3, 4]]}, "leave one of them out"),
        ({"eyes": [[3, 2], [1, 2]]}, "generators.gan.eyes begin with the right eye"),
        ({"eyes": [[1, 2]]}, "generators.gan.eyes"),
        ({"template": "arcface"}, "'arcface' is not one of ffhq, ffhq_published"),
    ],
)
def test_a_face_that_a_generator_cannot_have_is_refused(config, keys, sentence):
    config["generators"]["gan"] = {"family": "stylegan2", "random": {}, "seed": 1, **keys}
    assert sentence in refusal(config)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("networks", "steering", "architecture"), "iresnet50", "'iresnet50' is not one of slim_iresnet"),
        (("references", LANG, "settings", "timestep"), 0, "0 is not possible here"),
        (("references", LANG, "settings", "timestep"), float("nan"), "nan is not of type number"),
        (("references", LANG, "identities"), 100.0, "100.0 is not of type integer"),
        (("references", LANG, "identities"), 101, "its start world_n100_random only 100"),
        (("references", LANG, "shards"), 101, "more than its 100 identities"),
        (("references", "world_n100_random", "start"), LANG, "this key means nothing with the algorithm"),
        (
            ("covariates", "world_covariates", "database"),
            "strangers",
            "'strangers', which has no such attributes: name",
        ),
        (("covariates", "world_covariates", "database"), "world_ffhq", "'world_ffhq', which has one image per person"),
        (("covariates", "world_covariates", "persons"), 5, "world_covariates.persons is not used with a database"),
        (("databases", "world_multipie", "capture", "cameras"), ["24_0"], "'24_0' is not one of 08_0"),
        (("training", "fr_disco", "settings", "milestones"), [3, 2], "epochs must rise"),
        (("training", "fr_disco", "seeds"), [3, 1, 3], "training.fr_disco.seeds: 3 is listed twice; remove one"),
        (("training", "fr_disco", "seeds"), [], "training.fr_disco.seeds"),
        (("release", "date"), "2026-02-31", "release.date: 2026-02-31 is no date (day is out of range"),
        (("benchmarks",), {}, "release.models names networks, which are published with their scores, but there are no"),
    ],
)
def test_a_value_that_would_fail_later_is_refused_at_once(config, place, value, sentence):
    *path, key = place
    section = config
    for name in path:
        section = section[name]
    section[key] = value
    assert sentence in refusal(config)


def test_a_start_of_another_generator_is_refused(config):
    config["generators"]["other"] = {**config["generators"]["world"], "world_seed": 5}
    config["references"]["world_n100_random"]["generator"] = "other"
    assert "latents mean nothing in another generator" in refusal(config)


def test_covariates_whose_directions_are_left_out_are_of_the_same_generator_and_say_how_many(config):
    entry = config["references"][LANG]
    entry["nuisance_projection"] = {"covariates": "world_covariates"}
    assert load_configuration(config)["references"][LANG]["nuisance_projection"]["directions"] == 10
    entry["nuisance_projection"]["variance_share"] = 0.8
    assert "directions" not in load_configuration(config)["references"][LANG]["nuisance_projection"]
    entry["nuisance_projection"]["directions"] = 5
    assert "nuisance_projection: give exactly one of directions, variance_share" in refusal(config)
    del entry["nuisance_projection"]["variance_share"]
    config["generators"]["other"] = {"family": "procedural"}
    config["covariates"]["world_covariates"]["generator"] = "other"
    sentence = "is about the generator 'world', the covariates world_covariates of its projection about 'other'"
    assert sentence in refusal(config)


def test_packed_references_take_no_nuisance_projection(config):
    config["references"]["world_n100_hyper"]["nuisance_projection"] = {"covariates": "world_covariates"}
    assert "world_n100_hyper.nuisance_projection: this key means nothing with the algorithm" in refusal(config)


def test_two_sides_of_one_world_have_the_same_people(config):
    config["generators"]["larger"] = {**config["generators"]["world"], "image_size": 64}
    config["databases"]["world_ffhq"]["capture"].update(generator="larger", first_person=599)
    assert "share person 599" in refusal(config)


def test_only_an_embedded_world_can_be_photographed(config):
    config["generators"]["mine"] = {"factory": "my.module:make"}
    config["databases"]["world_ffhq"]["capture"]["generator"] = "mine"
    assert "which is no embedded world" in refusal(config)


def test_a_dataset_may_not_be_called_like_a_folder_of_a_release(config):
    config["references"]["scores"] = config["references"]["world_n100_random"]
    assert "rename the dataset" in refusal(config)


def test_the_schema_knows_the_architectures_of_every_family():
    branches = DEFINITIONS["network"]["allOf"]
    stated = {
        b["if"]["properties"]["family"]["const"]: b["then"]["properties"]["architecture"]["enum"] for b in branches
    }
    assert stated == {name: list(family.architectures) for name, family in FAMILIES.items()}


@pytest.mark.parametrize(
    ("section", "entry", "sentence"),
    [
        ("benchmarks", {"file": "nowhere.bin"}, "benchmarks.mine.file: there is no file nowhere.bin"),
        ("databases", {"kind": "people", "root": "nowhere"}, "databases.mine.root: there is no folder nowhere"),
        (
            "networks",
            {"family": "adaface", "architecture": "ir_50", "weights": "nowhere.ckpt"},
            "networks.mine.weights: there is no file nowhere.ckpt",
        ),
    ],
)
def test_a_file_of_the_users_own_that_is_not_there_is_named(config, section, entry, sentence):
    config[section]["mine"] = entry
    assert sentence in refusal(config)


RANDOM = {"family": "stylegan2", "random": {"resolution": 64}, "seed": 1}


def test_a_generator_of_random_weights_gets_the_defaults_of_its_family(config):
    config["generators"]["sg3"] = {"family": "stylegan3", "random": {}, "seed": 0}
    config["generators"]["sg2"] = RANDOM
    made = load_configuration(config)["generators"]
    assert made["sg3"]["random"]["mapping_layers"] == 2 and made["sg2"]["random"]["mapping_layers"] == 8
    assert made["sg2"]["noise"] == "off" and "noise" not in made["sg3"] and "file" not in made["sg2"]


def test_random_generators_have_the_sizes_of_the_published_classes_by_default():
    assert stylegan2_shape(StyleGAN2Sizes()) == StyleGAN2Settings()
    assert stylegan3_shape(StyleGAN3Sizes()) == StyleGAN3Settings(img_resolution=256)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"file": "a.pkl"}, "generators.mine: give exactly one of file, random"),
        ({"seed": None}, "generators.mine: the key 'random' means nothing without the key 'seed'"),
        ({"anchored": True}, "there is no key 'anchored'"),
        ({"noise": False}, "False is not one of off, fixed, item, random (YAML reads"),
        ({"random": {"resolution": 65}}, "generators.mine.random.resolution: 65 is not one of 4, 8, 16"),
        ({"family": "stylegan3", "random": {"resolution": 8}}, "8 is not one of 16, 32, 64"),
        ({"random": {"resolutoin": 64}}, "did you mean 'resolution'?"),
        ({"random": None, "seed": None, "file": "nowhere.pkl"}, "generators.mine.file: there is no file nowhere.pkl"),
        ({"family": "stylegan4"}, "'stylegan4' is not one of procedural, stylegan2, stylegan3"),
    ],
)
def test_a_mistake_in_a_stylegan_is_one_sentence(config, changes, sentence):
    config["generators"]["mine"] = {name: v for name, v in {**RANDOM, **changes}.items() if v is not None}
    assert sentence in refusal(config)


def test_a_network_of_the_users_own_takes_any_keys_but_needs_its_weights(config, tmp_path):
    own = {"factory": "my.module:network", "depth": 3, "weights": str(tmp_path / "weights")}
    (tmp_path / "weights").touch()
    config["networks"]["own"] = own
    assert load_configuration(config)["networks"]["own"]["depth"] == 3
    config["networks"]["own"] = {**own, "family": "slim"}
    assert "networks.own: the key 'family' means nothing here" in refusal(config)
    config["networks"]["own"] = {"factory": "my.module:network", "database": "strangers"}
    assert "networks.own.weights: a value is missing" in refusal(config)
    config["networks"]["own"] = {"depth": 3, "weights": str(tmp_path / "weights")}
    said = refusal(config)
    assert "networks.own: there is no key 'depth'" in said and "give exactly one of family, factory" in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "r50"}, "networks.mine: the key 'architecture' means nothing here"),
        ({"compile": True}, "networks.mine.compile: True is not possible here; it must be 'auto'"),
        ({"family": "adaface"}, "networks.mine: the key 'architecture' is missing"),
    ],
)
def test_a_key_without_effect_on_an_onnx_network_is_refused(config, changes, sentence):
    config["networks"]["mine"] = {"family": "onnx", "weights": "a.onnx", **changes}
    assert sentence in refusal(config)


@pytest.mark.parametrize("name", ["a.onnx", "A.ONNX"])
def test_a_network_whose_weights_are_an_onnx_file_need_not_say_its_family(config, tmp_path, name):
    (tmp_path / name).touch()
    config["networks"]["mine"] = {"weights": str(tmp_path / name), "reads_bytes": True, "colour_order": "BGR"}
    assert load_configuration(config)["networks"]["mine"]["family"] == "onnx"


def test_another_family_for_an_onnx_file_is_refused(config):
    config["networks"]["mine"] = {"family": "insightface", "architecture": "iresnet50", "weights": "a.onnx"}
    assert "networks.mine.family is 'insightface', but its weights a.onnx are an ONNX file: leave" in refusal(config)


@pytest.mark.parametrize(("key", "value"), [("reads_bytes", False), ("colour_order", "BGR")])
def test_what_a_network_reads_cannot_be_set_for_one_that_is_trained_here(config, key, value):
    config["networks"]["steering"][key] = value
    assert f"networks.steering.{key} is for weights from a file" in refusal(config)


@pytest.mark.parametrize(
    ("section", "entry"), [("references", LANG), ("variations", DISCO), ("covariates", "world_covariates")]
)
def test_steering_by_an_onnx_network_is_refused_and_embedding_with_it_is_not(config, tmp_path, section, entry):
    (tmp_path / "a.onnx").touch()
    config["networks"]["onnx"] = {"family": "onnx", "weights": str(tmp_path / "a.onnx")}
    config["references"]["world_n100_random"]["network"] = "onnx"
    config["references"]["seen"] = {
        **{"algorithm": "reject", "generator": "world", "network": "onnx", "identities": 9},
        "settings": {"ict": 0.1},
    }
    load_configuration(config)
    if section == "variations":
        config["variations"]["mine"] = {**config["variations"][DISCO], "references": "seen", "shards": 1}
        entry = "mine"
    else:
        config[section][entry]["network"] = "onnx"
        config["networks"]["onnx"].update(image_size=56, template="two_eye")
    assert f"{section}.{entry} (" in (said := refusal(config)) and "an ONNX file gives none" in said


def test_a_number_as_a_name_is_explained(config):
    config["references"][1] = config["references"]["world_n100_random"]
    assert "references: the name 1 is no text; put it in quotes" in refusal(config)


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("seed: 1\nreferences:\n  a: {identities: 2}\n  b: {identities: 2}\n  a: {identities: 3}\n")
    with pytest.raises(BrownidError, match="line 5: the key 'a' stands in line 3 already"):
        read_yaml(path)


def test_the_configurations_of_the_project_repeat_nothing():
    for path in (PROJECT / "config/config.yaml", PROJECT / "tests/tiny.yaml"):
        read_yaml(path)


def test_noise_maps_of_a_generator_without_any_are_refused(config):
    config["covariates"]["world_covariates"]["projection"] = {"noise_maps": True}
    assert (
        "world_covariates.projection.noise_maps is true, but the generator 'world' is of the family 'procedural'"
        in (refusal(config))
    )


def patterns(schema):
    """Every pattern of a schema, whatever it is nested in."""
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = [schema["pattern"]] if isinstance(schema, dict) and isinstance(schema.get("pattern"), str) else []
    return own + [pattern for part in inside for pattern in patterns(part)]


def test_no_pattern_of_the_schema_lets_a_last_newline_pass():
    found = patterns(read_schema())
    assert len(found) >= 4
    for pattern in found:
        text = "2026-01-31" if "{2}" in pattern else "0" * 64  # fits names and checksums
        assert re.search(pattern, text) and not re.search(pattern, f"{text}\n"), pattern


def test_a_name_or_checksum_that_ends_in_a_newline_is_refused(config):
    config["references"]["new\n"] = config["references"]["world_n100_random"]
    config["release"]["name"] = "release\n"
    said = refusal(config)
    assert r"the name 'new\n' may contain" in said and r"release.name: the name 'release\n' may contain" in said
