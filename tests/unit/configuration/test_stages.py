"""A stage's settings hold what its job uses, in an order that does not depend on the YAML file."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from brownid.configuration import paths, products, stages
from brownid.configuration.crops import check_crops
from brownid.configuration.loading import load_configuration
from brownid.planning import sizes
from brownid.runtime.errors import BrownidError

PROJECT = Path(__file__).parents[3]
HYPER, NOISY = "world_n100_hyper", "world_n100_hyper_b01_n8"


@pytest.fixture
def config():
    raw = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())
    raw["variations"][NOISY] = {"algorithm": "hyperface", "references": HYPER}
    return load_configuration(raw)


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return value


CALLS = [
    (stages.capture_database, "strangers"),
    (stages.sample_references, "world_n100_lang"),
    (stages.vary_references, "world_n100_lang_disco_n8_rl14"),
    (stages.train_recognition, "fr_dispersion", "1"),
    (stages.score_model, "evaluation", "fr_genuine/seed_1"),
    (stages.project_database, "world_covariates"),
    (stages.measure_controls,),
    (stages.tabulate_scores, "evaluation"),
    (stages.compare_scores, "evaluation"),
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
    config["networks"]["steering"]["training"]["epochs"] += 1
    assert stages.sample_references(config, "world_n100_lang") == before


def test_networks_are_tabulated_by_entry_and_benchmarks_by_group(config):
    config["training"]["fr_genuine"]["seeds"] = [3, 1]
    config["benchmarks"]["lfw"]["group"] = "development"
    settings = stages.tabulate_scores(config, "evaluation")
    assert settings["entries"]["fr_genuine"] == ["fr_genuine/seed_3", "fr_genuine/seed_1"]
    assert settings["entries"]["steering"] == ["steering"] and list(settings["entries"]) == sorted(settings["entries"])
    assert [network for names in settings["entries"].values() for network in names] == paths.models(config)
    assert settings["group"] == "evaluation" and settings["benchmarks"] == ["agedb_30", "calfw", "cfp_fp", "cplfw"]
    names = [name for name in config["benchmarks"] if name.endswith("_development")]
    assert stages.compare_scores(config, "development")["benchmarks"] == sorted(["lfw", *names])


def test_networks_are_scored_on_one_group_of_benchmarks_and_the_default_target_has_no_development_ones(config):
    config["benchmarks"] = {name: entry for name, entry in config["benchmarks"].items() if "development" not in name}
    config["benchmarks"]["lfw"]["group"] = "development"
    assert stages.score_model(config, "development", "steering")["benchmarks"] == ["lfw"]
    assert paths.benchmark_files(config, "development", "steering") == ["results/benchmarks/lfw.56.bin"]
    assert paths.benchmark_persons(config, "development", "steering") == ["results/benchmarks/lfw.56.persons.csv"]
    assert "lfw" not in stages.score_model(config, "evaluation", "steering")["benchmarks"]
    assert products.job_counts(config)["capture_benchmark"] == 4
    wanted = [*products.targets(config), *products.files(products.release_parts(config))]
    assert not [path for path in wanted if "development" in path]
    assert all("/development/" in path for path in products.named_target(config, "development"))
    config["benchmarks"] = {name: entry | {"group": "evaluation"} for name, entry in config["benchmarks"].items()}
    with pytest.raises(BrownidError, match="The target `development` has nothing to make"):
        products.named_target(config, "development")


def test_of_networks_those_that_the_run_trains_are_scored_and_one_from_a_file_where_it_is_named(config):
    def scored(**scoring):
        config["scoring"] |= {"networks": None, "comparisons": [], **scoring}
        return [name for name in paths.scored_models(config) if name in config["networks"]]

    assert scored() == ["judge", "steering"]
    config["networks"]["steering"] |= {"weights": "arc.pt", "database": None, "template": "arcface", "image_size": 112}
    config["benchmarks"] = {"lfw": config["benchmarks"]["lfw"] | {"capture": None, "file": "lfw.bin"}}
    config["references"]["world_n100_lang"]["leak_guard"] = None
    check_crops(config)  # networks that only steer need not read the crops of benchmarks
    assert scored() == ["judge"] and "steering" not in paths.models(config)
    assert scored(comparisons=[["fr_disco", "steering"]]) == ["judge", "steering"]
    assert scored(networks=["steering"]) == ["steering"]
    with pytest.raises(BrownidError, match=r"benchmarks\.lfw does not say on which template"):
        check_crops(config)
    assert scored(networks=[]) == []
    config |= {"training": {}, "release": None}
    assert products.scores(config) == [] and products.job_counts(config)["score_model"] == 0


def test_each_target_makes_its_part_and_one_without_anything_to_make_is_a_sentence(config):
    assert all(path.endswith("/samples.h5") for path in products.named_target(config, "datasets"))
    assert all(path.endswith(".arrow") for path in products.named_target(config, "images"))  # a judge sorts the sheets
    assert products.named_target(config, "release") == ["results/release/brownid_world_v1.verified.txt"]
    config |= {"release": None, "quality": None}
    assert f"results/figures/faces/{HYPER}.png" in products.named_target(config, "images")
    with pytest.raises(BrownidError, match="The target `release` has nothing to make: the configuration has no `rel"):
        products.named_target(config, "release")


def test_a_network_is_trained_per_seed_and_one_of_the_seed_of_the_run_by_default(config):
    default, listed = "fr_genuine", "fr_dispersion"
    config["training"][default]["seeds"], config["training"][listed]["seeds"] = None, [3, 1]
    assert paths.trained_models(config, default) == ["fr_genuine/seed_1"]
    assert paths.trained_models(config, listed) == ["fr_dispersion/seed_3", "fr_dispersion/seed_1"]
    assert {"fr_dispersion/seed_3", "steering"} < set(paths.models(config))
    assert paths.weights(config, "fr_dispersion/seed_3") == "results/training/fr_dispersion/seed_3/weights.safetensors"
    assert stages.train_recognition(config, listed, "3")["seed"] == 3
    first, second = (stages.score_model(config, "evaluation", model) for model in paths.trained_models(config, listed))
    assert first | {"model": second["model"]} == second
    released = [model for model in products.release_parts(config)["models"] if model.startswith(listed)]
    assert released == paths.trained_models(config, listed)


def test_the_number_of_shards_is_no_setting_of_the_variations(config):
    name = "world_n100_lang_disco_n8_rl14"
    before = stages.vary_references(config, name)
    changed = deepcopy(config)
    changed["variations"][name]["shards"] = 7
    assert stages.vary_references(changed, name) == before
    assert len(paths.variation_shards(changed, name, "h5")) == 7


def test_a_generators_file_is_an_input_of_its_datasets_and_its_path_a_setting(config):
    assert paths.references_generator_files(config, LANG) == []
    config["generators"]["world"] = {"family": "stylegan2", "file": "ffhq.pkl"}
    assert paths.references_generator_files(config, DISCO) == paths.generator_files(config, "world") == ["ffhq.pkl"]
    assert stages.render_images(config, LANG)["generator"]["file"] == "ffhq.pkl"


def test_the_keys_of_a_users_own_network_reach_its_stages(config):
    common = {
        "image_size": 112,
        "template": "arcface",
        "precision": "float32",
        "channels_last": True,
        "compile": "auto",
    }
    own = {"factory": "a:b", "depth": 3, "weights": "w.pt", "mirror": False, "database": None, "training": {}}
    config["networks"]["steering"] = own | common
    steered = stages.sample_references(config, LANG)["network"]
    assert steered == {"factory": "a:b", "options": {"depth": 3}, **common}


def test_genuine_pictures_are_projected_on_the_template_of_the_generators_faces(config):
    config["databases"]["world_multipie"]["alignment"] = {"template": None, "detector": None}
    entry = config["covariates"]["world_covariates"]
    for frame, generator, expected in [
        ("network", {"family": "stylegan2", "template": "ffhq_published"}, "two_eye"),
        ("generator", {"family": "stylegan2", "template": "ffhq_published"}, "ffhq_published"),
        ("generator", {"factory": "a:b", "template": "of its own"}, "ffhq"),
    ]:
        entry["projection"]["frame"], config["generators"]["world"] = frame, generator
        assert stages.project_database(config, "world_covariates")["alignment"]["to"] == expected


def test_a_database_without_attributes_has_no_directions_and_is_projected_in_part(config):
    config["covariates"]["any"] = {"database": "strangers", "generator": "world", "network": "steering", "persons": 9}
    config = load_configuration(config)
    jobs = products.job_counts(config)
    assert (jobs["fit_covariates"], jobs["fit_within_class"], jobs["show_within_class"]) == (1, 2, 2)
    wanted = {Path(path).name for path in products.targets(config) if path.startswith("results/covariates/any/")}
    assert wanted == {"within_class.h5"}
    selections = [stages.project_database(config, name).get("selection") for name in ("any", "world_covariates")]
    assert selections == [{"persons": 9, "images_per_person": None}, None]
    assert sizes.projected_images(config, "any", {}) == 9 * 12
    assert products.controlled_covariates(config) == ["world_covariates"]


def test_variations_show_the_persons_of_their_references(config):
    assert paths.namespace(config, "world_n100_lang_disco_n8_rl14") == "world_n100_lang"
    assert paths.namespace(config, "world_webface") == "world_webface"


def test_the_covariates_of_a_projection_are_an_input_of_its_references_and_in_their_release(config):
    config["release"]["datasets"] = [LANG]
    assert paths.nuisance_covariates(config, LANG) == [] and products.release_parts(config)["covariates"] == []
    before = stages.sample_references(config, LANG)
    config["references"][LANG]["nuisance_projection"] = LEFT_OUT
    assert paths.nuisance_covariates(config, LANG) == [paths.within_class(config, "world_covariates")]
    assert products.release_parts(config)["covariates"] == [paths.within_class(config, "world_covariates")]
    assert list(products.release_parts(config)["databases"]) == ["world_ffhq", "world_multipie"]
    before["references"]["nuisance_projection"] = {"directions": 10}  # the name of the file is no setting
    assert stages.sample_references(config, LANG) == before


def test_a_section_without_entries_matches_nothing():
    assert paths.alternatives({}, "variations") == "(?!)"


def test_the_release_holds_the_covariates_and_indexes_its_datasets_need(config):
    parts = products.release_parts(config)
    assert parts["covariates"] == [
        f"results/covariates/world_covariates/{file}.h5" for file in ("covariates", "within_class")
    ]
    assert list(parts["databases"]) == ["world_ffhq", "world_multipie"]
    assert all(isinstance(path, str) for path in products.files(parts))


LANG, DISP, DISCO = "world_n100_lang", "world_n100_lang_disp_n8_rl12", "world_n100_lang_disco_n8_rl14"
STAGES = [
    *[(stages.capture_database, name) for name in ("strangers", "world_ffhq")],
    *[(stages.align_database, "strangers"), (stages.train_network, "steering")],
    *[(stages.embed_dataset, "world_ffhq", "steering"), (stages.fit_warm_start, "world_covariates")],
    *[(stages.project_database, "world_covariates"), (stages.fit_covariates, "world_covariates")],
    *[(stages.fit_within_class, "world_covariates"), (stages.show_within_class, "world_covariates")],
    *[(stages.sample_references, LANG), (stages.sample_references, "world_n100_random")],
    *[(stages.vary_references, DISP), (stages.vary_references, DISCO), (stages.render_images, LANG)],
    *[(stage, HYPER) for stage in (stages.embed_faces, stages.pack_references, stages.invert_embeddings)],
    *[(stages.measure_packing, HYPER), (stages.vary_references, NOISY)],
    *[
        (stages.train_recognition, "fr_genuine", "1"),
        (stages.score_model, "evaluation", "steering"),
        (stages.score_model, "evaluation", "fr_genuine/seed_1"),
    ],
    *[(stages.measure_controls,), (stages.plot_distances, DISP), (stages.audit_leaks, LANG)],
    *[(stages.tabulate_scores, "evaluation"), (stages.compare_scores, "evaluation")],
]
STEERED = "fit_warm_start project_database sample_references vary_references measure_controls "
STEERED += "embed_faces invert_embeddings"
EMBEDDED = "embed_dataset measure_packing train_network score_model:evaluation:steering"

LEFT_OUT = {"covariates": "world_covariates", "directions": 10}

# a key and another value -> the stages whose own settings change (what follows from them runs through their outputs)
USES = [
    ("generators.world.warp", 0.4, f"{STEERED} render_images show_within_class"),
    ("networks.steering.precision", "bfloat16", f"{STEERED} embed_dataset measure_packing"),
    ("networks.steering.template", "arcface", STEERED),
    ("networks.steering.compile", True, STEERED),
    ("networks.steering.channels_last", False, STEERED),
    ("networks.steering.mirror", True, "embed_dataset"),
    ("networks.steering.reads_bytes", True, f"{STEERED} {EMBEDDED}"),
    ("networks.steering.colour_order", "BGR", f"{STEERED} {EMBEDDED}"),
    ("networks.steering.training.epochs", 13, "train_network"),
    ("images.template", "arcface", "render_images show_within_class"),
    (
        "images.maximum_failed_share",
        0.2,
        "align_database embed_dataset project_database fit_covariates fit_within_class score_model",
    ),
    (f"variations.{DISP}.shards", 4, ""),
    (f"variations.{DISCO}.covariate_scales.smile", 0.5, f"vary_references:{DISCO}"),
    (f"variations.{DISP}.settings.iterations", 3, f"vary_references:{DISP}"),
    (f"references.{LANG}.truncation", 0.5, "measure_controls"),
    ("references.world_n100_random.truncation", 0.5, "sample_references:world_n100_random measure_controls"),
    (f"references.{LANG}.settings.ict", 1.3, f"sample_references:{LANG}"),
    (f"references.{LANG}.settings.neighbours", "previous", f"sample_references:{LANG}"),
    (f"references.{LANG}.nuisance_projection", LEFT_OUT, f"sample_references:{LANG} measure_controls"),
    (f"references.{HYPER}.truncation", 0.5, f"embed_faces vary_references:{NOISY} measure_controls"),
    (f"references.{HYPER}.gallery_size", 500, "embed_faces pack_references"),
    (f"references.{HYPER}.gallery", "world_n100_random", ""),
    (f"references.{HYPER}.start", "world_n100_random", "embed_faces"),
    (f"references.{HYPER}.settings.batch", 10, "pack_references"),
    (f"references.{HYPER}.inversion.iterations", 10, "invert_embeddings"),
    (f"references.{HYPER}.inversion.maximum_rejected_share", 0.2, "invert_embeddings"),
    (f"references.{HYPER}.processes", 2, ""),
    (f"variations.{NOISY}.settings.embedding_noise", 0.02, f"vary_references:{NOISY}"),
    (f"references.{LANG}.shards", 2, ""),
    (f"references.{LANG}.processes", 2, ""),
    (f"references.{LANG}.batch_size", 8, ""),
    (f"variations.{DISP}.batch_size", 8, ""),
    ("saving.minutes", 1.0, ""),
    ("launcher", "srun", ""),
    ("training.fr_genuine.processes", 2, ""),
    ("networks.steering.processes", 2, ""),
    ("training.fr_genuine.keep", "none", ""),
    ("training.fr_genuine.shard_head_from", 9, ""),
    ("networks.steering.keep", "none", ""),
    ("databases.strangers.capture.photos", 13, "capture_database:strangers"),
    ("databases.strangers.shards", 2, ""),
    ("covariates.world_covariates.shards", 3, ""),
    ("covariates.world_covariates.projection.iterations", 3, "project_database"),
    ("training.fr_genuine.settings.margin", 0.1, "train_recognition"),
    ("scoring.false_accept_rates", [0.1], "score_model"),
    ("scoring.precision", "auto", "score_model"),
    ("scoring.resamples", 300, "tabulate_scores compare_scores"),
    ("scoring.confidence", 0.9, "tabulate_scores compare_scores"),
    ("scoring.comparisons", [["fr_genuine", "fr_dispersion"]], "compare_scores"),
    ("audit.pairs", 3, "audit_leaks"),
]


def check_use(config, tested, key, value, expected):
    """Assert that a new value of a key changes the settings of exactly the expected (`rule` or `rule:entry`) stages."""

    def fingerprints():
        return {":".join((f.__name__, *names)): repr(stages.sorted_keys(f(config, *names))) for f, *names in tested}

    before = fingerprints()
    *path, last = key.split(".")
    section = config
    for name in path:
        section = section[name]
    assert section[last] != value
    section[last] = value
    changed = {stage for stage, settings in fingerprints().items() if settings != before[stage]}
    wanted = expected.split()
    assert changed == {stage for stage in before if any(stage == w or stage.split(":")[0] == w for w in wanted)}


@pytest.mark.parametrize(("key", "value", "expected"), USES, ids=[use[0] for use in USES])
def test_a_key_is_in_the_settings_of_the_stages_that_use_it_and_of_no_other(config, key, value, expected):
    check_use(config, STAGES, key, value, expected)
