"""Names of older versions become those of today, and only these."""

from brownid.samples.checks import FORMER_NAMES
from brownid.upgrade.renames import Renames, renames

TABLE = Renames(
    [
        {
            "rules": {"photograph": "capture"},
            "paths": {
                "results/photos/{name}.bin": "results/captures/{name}/images.bin",
                "results/old/": "results/new/",
            },
            "keys": {"*": {"*.side": "image_size"}, "capture": {"settings.spread": "deviation"}},
            "values": {"capture": {"settings.kind": {"people": "persons"}}},
        },
        {
            "rules": {"capture": "render"},
            "values": {"*": {"*.fast": {False: "auto"}}},
            "added": {"render": {"settings.camera.noise": 0.0}},
        },
    ]
)


def test_names_go_through_all_versions():
    assert TABLE.rule("photograph") == TABLE.rule("capture") == "render"
    assert TABLE.path("logs/photograph/one.log") == "logs/render/one.log"
    assert list(TABLE.old_paths("logs/benchmarks/render/a/b.tsv")) == [
        "logs/benchmarks/capture/a/b.tsv",
        "logs/benchmarks/photograph/a/b.tsv",
    ]
    assert TABLE.path("results/photos/one.bin") == "results/captures/one/images.bin"
    assert list(TABLE.old_paths("results/captures/one/images.bin")) == ["results/photos/one.bin"]
    assert TABLE.path("results/old/a/b.h5") == "results/new/a/b.h5"
    assert TABLE.path("results/photos/one/two.bin") == "results/photos/one/two.bin"


def test_values_of_settings_are_renamed_whatever_their_type():
    owner = {"settings": {"network": {"fast": False}, "kind": "people", "other": False}}
    expected = {"network": {"fast": "auto"}, "kind": "people", "other": False}
    assert TABLE.owner("render", owner) == {"settings": expected}
    assert TABLE.owner("render", {"settings": expected}) == {"settings": expected}


def test_a_new_path_may_have_the_seed_of_the_run():
    table = Renames([{"paths": {"results/{name}/{file}": "results/{name}/seed_{seed}/{file}"}}]).of_run([], seed=7)
    assert table.path("results/net/a.ckpt") == "results/net/seed_7/a.ckpt"
    assert list(table.old_paths("results/net/seed_7/a.ckpt")) == ["results/net/a.ckpt"]
    assert list(table.old_paths("results/net/seed_8/a.ckpt")) == []
    assert table.path("results/net/seed_8/a.ckpt") == "results/net/seed_8/a.ckpt"


def test_settings_of_older_versions_have_the_keys_and_values_of_today():
    old = {
        "settings": {"network": {"side": 112}, "spread": 1.0, "kind": "people", "camera": {}, "file": "results/old/x"}
    }
    assert TABLE.owner("capture", old)["settings"] == {
        **{"network": {"image_size": 112}, "deviation": 1.0, "kind": "persons", "camera": {}, "file": "results/new/x"},
    }
    assert TABLE.owner("render", {"settings": {"camera": {}}}) == {"settings": {"camera": {"noise": 0.0}}}
    assert TABLE.owner("other", {"settings": {"spread": 1.0}}) == {"settings": {"spread": 1.0}}


def test_entries_of_older_configurations_have_the_names_of_today_unless_a_run_has_them_still():
    table = Renames([{"entries": {"shelf": "steering"}}])
    renamed = table.of_run(["results/networks/steering/weights.safetensors"])
    assert renamed.path("results/scores/shelf.json") == "results/scores/steering.json"
    assert list(renamed.old_paths("results/networks/steering/a.h5")) == ["results/networks/shelf/a.h5"]
    assert renamed.owner("score_model", {"settings": {"name": "shelf", "x": "shelf 2"}}) == {
        "settings": {"name": "steering", "x": "shelf 2"}
    }
    assert renamed.path("results/images/shelf_2/1-of-1.arrow") == "results/images/shelf_2/1-of-1.arrow"
    for outputs in (["results/networks/steering/a.h5", "results/scores/shelf.json"], ["results/networks/own/a.h5"]):
        assert table.of_run(outputs).path("results/scores/shelf.json") == "results/scores/shelf.json"


def test_a_factory_s_own_options_are_left_alone():
    owner = {"settings": {"generator": {"factory": "my.module:make", "side": 64}, "network": {"options": {"side": 32}}}}
    assert TABLE.owner("render", owner) == owner


def test_collections_of_an_older_version_are_compared_under_the_names_of_today():
    entries = {old: new for version in renames().versions for old, new in version.get("entries", {}).items()}
    keys = {
        pattern.split(".")[-1]: new
        for version in renames().versions
        for rule, patterns in version.get("keys", {}).items()
        for pattern, new in patterns.items()
        if rule == "*" and not pattern.startswith("run.")  # the others write no collection
    }
    assert {**entries, **keys} == FORMER_NAMES


def test_the_image_size_of_an_interrupted_training_has_its_name_of_today():
    assert renames().owner("train_recognition", {"settings": {}, "side": 32}) == {"settings": {}, "image_size": 32}


def test_names_of_today_stay_whatever_the_table_says():
    owner = {"settings": {"embedding_conditioned": True}, "inputs": {"results/references/one/samples.h5": "f" * 64}}
    assert renames().owner("vary_references", owner) == owner
    assert renames().owner("vary_references", {"settings": {"painted": True}})["settings"] == owner["settings"]
