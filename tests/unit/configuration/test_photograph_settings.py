"""Databases and benchmarks of one's own: the keys that belong together, and the stages that each key reaches."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from test_stages import check_use

from brownid.configuration import paths, stages
from brownid.configuration.loading import load_configuration
from brownid.runtime.errors import BrownidError

PROJECT = Path(__file__).parents[3]
DEFAULT = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())


@pytest.fixture
def own(tmp_path):
    """The default configuration with databases and benchmarks of one's own, whose files exist."""
    files = (
        "yunet.onnx",
        "p.pt",
        "r.pt",
        "o.pt",
        "pairs.txt",
        "ffhq.json",
        "theirs.sqlite",
        "lists/U/dev/for_models.lst",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def at(name):
        return str(tmp_path / name)

    config = deepcopy(DEFAULT)
    config["detectors"] = {
        "finder": {"family": "yunet", "file": at("yunet.onnx"), "sha256": "0" * 64},
        "cascade": {"family": "mtcnn", "files": {"pnet": at("p.pt"), "rnet": at("r.pt"), "onet": at("o.pt")}},
    }
    config["databases"] |= {
        "wild": {"kind": "people", "root": str(tmp_path), "alignment": {"detector": "finder"}},
        "ffhq": {"kind": "ffhq", "root": str(tmp_path), "metadata": at("ffhq.json"), "alignment": {}},
        "cropped": {
            "kind": "ffhq",
            "root": str(tmp_path),
            "index": at("theirs.sqlite"),
            "alignment": {"template": "ffhq"},
        },
        "rig": {"kind": "multipie", "root": str(tmp_path), "lists": at("lists")},
    }
    config["benchmarks"] |= {
        "own": {"folder": str(tmp_path), "pairs": at("pairs.txt"), "alignment": {"detector": "cascade"}},
        "converted": {"folder": str(tmp_path), "format": "adaface"},
    }
    config["realigned"] = {"moved": {"images": "world_n100_lang_disp_n8_rl12", "template": "ffhq", "image_size": 56}}
    config["training"]["fr_moved"] = {**config["training"]["fr_genuine"], "datasets": ["world_n100_lang", "moved"]}
    return config


@pytest.fixture
def loaded(own):
    return load_configuration(own)


def test_the_users_files_are_inputs_of_the_stages_that_read_them(loaded, tmp_path):
    def names(found):
        return [Path(path).relative_to(tmp_path).as_posix() for path in found]

    assert names(paths.detector_files(loaded, "databases", "wild")) == ["yunet.onnx"]
    assert names(paths.detector_files(loaded, "benchmarks", "own")) == ["p.pt", "r.pt", "o.pt"]
    assert paths.detector_files(loaded, "databases", "strangers") == []
    assert names(paths.database_files(loaded, "ffhq", "metadata")) == ["ffhq.json"]
    assert names(paths.database_files(loaded, "rig", "lists")) == ["lists/U/dev/for_models.lst"]
    assert paths.database_files(loaded, "rig", "index") == []
    assert names(paths.benchmark_pairs(loaded, "own")) == ["pairs.txt"]
    assert paths.benchmark_pairs(loaded, "converted") == []
    assert paths.prepared_benchmarks(loaded) == ["converted", "own"]
    assert "own" not in paths.captured_benchmarks(loaded) and "lfw" in paths.captured_benchmarks(loaded)


def test_a_realigned_dataset_has_the_persons_and_shards_of_its_source(loaded):
    source = "world_n100_lang_disp_n8_rl12"
    assert paths.namespace(loaded, "moved") == "world_n100_lang"
    assert paths.image_shards(loaded, "moved") == [
        p.replace(source, "moved") for p in paths.image_shards(loaded, source)
    ]


STAGES = [
    *[(stages.index_database, name) for name in ("wild", "ffhq", "rig")],
    *[(stages.align_database, name) for name in ("wild", "ffhq", "cropped", "strangers")],
    *[(stages.prepare_benchmark, name, "arcface", "112") for name in ("own", "converted")],
    (stages.realign_images, "moved"),
    *[(stages.render_images, "world_n100_lang"), (stages.score_model, "evaluation", "fr_genuine")],
]
PHOTOGRAPHS = "align_database:wild align_database:ffhq align_database:cropped"
OWN = "prepare_benchmark:own:arcface:112"
USES = [
    ("detectors.finder.threshold", 0.5, "align_database:wild"),
    ("detectors.finder.max_side", 320, "align_database:wild"),
    ("detectors.finder.file", "elsewhere.onnx", ""),  # an input
    ("detectors.finder.sha256", "1" * 64, ""),  # checked when the file is opened
    ("detectors.cascade.smallest_face", 20, OWN),
    ("databases.ffhq.images", "in_the_wild", "index_database:ffhq"),
    ("databases.ffhq.metadata", "elsewhere.json", ""),
    ("databases.wild.images", "in_the_wild", ""),
    ("databases.wild.identity_subfolders", True, "index_database:wild"),
    ("databases.wild.alignment", None, "align_database:wild"),
    ("databases.cropped.alignment.template", "two_eye", "align_database:cropped"),
    ("databases.cropped.not_square", "pad", "align_database:cropped"),
    ("databases.rig.not_square", "pad", ""),
    ("benchmarks.own.not_square", "pad", OWN),
    ("benchmarks.own.enlarge", True, OWN),
    ("benchmarks.own.alignment.template", "ffhq", OWN),
    ("databases.rig.lists", "elsewhere", ""),
    ("images.template", "arcface", f"render_images realign_images {PHOTOGRAPHS}"),
    ("images.maximum_failed_share", 0.2, f"align_database {OWN} score_model"),
    ("images.image_size", 112, "align_database render_images score_model"),
    ("realigned.moved.template", "two_eye", "realign_images"),
    ("realigned.moved.image_size", 112, "realign_images"),
    ("benchmarks.own.folder", "elsewhere", OWN),
    ("benchmarks.converted.folder", "elsewhere", "prepare_benchmark:converted:arcface:112"),
    ("benchmarks.own.pairs", "elsewhere.txt", ""),
]


@pytest.mark.parametrize(("key", "value", "expected"), USES, ids=[use[0] for use in USES])
def test_a_key_is_in_the_settings_of_the_stages_that_use_it_and_of_no_other(loaded, key, value, expected):
    check_use(loaded, STAGES, key, value, expected)


WRONG = [
    ("databases.wild.lists", "{tmp}", r"databases\.wild\.lists means nothing here, as its kind is 'people'"),
    ("databases.cropped.metadata", "{tmp}/ffhq.json", r"cropped\.metadata means nothing here, as an index is given"),
    ("databases.ffhq.metadata", None, r"ffhq\.metadata is missing: the kind 'ffhq' needs ffhq-dataset-v2\.json"),
    ("databases.strangers.alignment", {}, r"strangers\.alignment means nothing where the embedded world"),
    (
        "databases.ffhq.identity_subfolders",
        True,
        r"identity_subfolders means nothing here, as its kind is 'ffhq'",
    ),
    ("databases.strangers.identity_subfolders", True, r"identity_subfolders means nothing where the embedded world"),
    ("databases.strangers.kind", "recordio", "which the embedded world cannot be photographed as"),
    ("databases.strangers.kind", "utkface", "which the embedded world cannot be photographed as"),
    ("databases.wild.alignment", {}, r"neither on which `template` .* nor which `detector`"),
    ("databases.wild.alignment", {"detector": "finder", "template": "ffhq"}, "give one of them"),
    ("databases.wild.alignment", {"detector": "fnder"}, r"no entry 'fnder' under detectors; did you mean 'finder'"),
    ("databases.wild.not_square", "pad", r"wild\.not_square means nothing where photographs are aligned"),
    ("databases.strangers.not_square", "pad", r"strangers\.not_square means nothing where the embedded world"),
    ("databases.rig.not_square", "fill", r"not_square: 'fill' is not one of pad, stretch, crop"),
    ("benchmarks.own.not_square", "crop", r"own\.not_square means nothing where photographs are aligned"),
    ("benchmarks.lfw.not_square", "crop", r"lfw\.not_square means nothing where the embedded world"),
    ("benchmarks.lfw.enlarge", True, r"lfw\.enlarge means nothing where the embedded world"),
    ("benchmarks.converted.enlarge", True, r"converted\.enlarge is about images that are moved"),
    ("benchmarks.converted.alignment", {}, r"neither on which `template` .* nor which `detector`"),
    ("databases.ffhq.images", "thumbnails", "neither on which `template` .* nor which `detector`"),
    ("databases.wild.images", "thumbnails", r"wild\.images means nothing here, as its kind is 'people'"),
    ("databases.cropped.images", "thumbnails", r"cropped\.images means nothing here, as an index is given"),
    ("databases.strangers.images", "thumbnails", r"strangers\.images means nothing where the embedded world"),
    ("detectors.finder.sha256", "zz", r"finder\.sha256: 'zz' is no SHA-256, 64 small hexadecimal digits"),
    ("detectors.finder.sha256", 12, r"finder\.sha256: the SHA-256 12 is no text; put it in quotes"),
    ("detectors.cascade.sha256", {"pnet": "zz"}, r"cascade\.sha256\.pnet: 'zz' is no SHA-256"),
    ("databases.rig.lists", "{tmp}/nowhere", r"rig\.lists: there is no folder"),
    ("detectors.finder.smallest_face", 20, "there is no key 'smallest_face'"),
    ("detectors.finder.file", "{tmp}/nowhere.onnx", r"detectors\.finder\.file: there is no file"),
    ("detectors.cascade.files.pnet", "{tmp}/nowhere.pt", r"detectors\.cascade\.files\.pnet: there is no file"),
    ("benchmarks.own.pairs", None, r"own\.pairs is missing"),
    ("benchmarks.own.format", "adaface", r"own\.pairs means nothing with the format 'adaface'"),
    ("benchmarks.lfw.pairs", "{tmp}/pairs.txt", r"lfw\.pairs belongs to a `folder`"),
    ("benchmarks.own.file", "{tmp}/pairs.txt", "give exactly one of file, folder, capture"),
    ("realigned.moved.image_size", 112, r"fr_moved\.datasets has 'moved', whose image_size is 112"),
    ("realigned.moved.images", "moved", "there is no entry 'moved' under references or variations or databases"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_keys_that_do_not_fit_are_refused(own, tmp_path, key, value, sentence):
    *path, last = key.split(".")
    section = own
    for name in path:
        section = section[name]
    section[last] = value.replace("{tmp}", str(tmp_path)) if isinstance(value, str) else value
    with pytest.raises(BrownidError, match=sentence):
        load_configuration(own)


def test_templates_are_photographs_with_landmarks_only_where_these_are_listed(own, tmp_path):
    metadata = str(tmp_path / "pairs.txt")
    own["databases"]["ijbc"] = {"kind": "templates", "root": str(tmp_path), "metadata": metadata, "alignment": {}}
    with pytest.raises(BrownidError, match=r"ijbc\.alignment says neither"):
        load_configuration(own)
    own["databases"]["ijbc"]["landmarks"] = metadata
    load_configuration(own)
