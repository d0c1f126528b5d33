"""What introduces a release says what its files say: dataset card, model cards, Croissant, licence, citation."""

import dataclasses
import re
import shutil
import sys
from types import SimpleNamespace

import mlcroissant
import numpy as np
import pyarrow.parquet
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard
from PIL import Image

from brownid.databases.index import DatabaseIndex, Sample
from brownid.exports.inventory import write_record
from brownid.exports.joining import JoinedTrainingSet, Part
from brownid.exports.layouts import LAYOUTS
from brownid.release.contents import FilePart, ReleaseDescription, TrainingSetPart
from brownid.release.model_card import write_model_cards
from brownid.release.origins import Covariates, Database, Generator, Network, Origin, Origins, PublishedFile
from brownid.release.package import build_release
from brownid.samples.provenance import write_command

STYLEGAN = "models/a|b `c`\n<b>.pkl"
WEIGHTS = "results/networks/steering/weights.safetensors"
PAGE = "https://example.org/models"
DATASET, SET = "world_lang_v1", "joined"
EMBEDDED = Origins(
    seed=7,
    datasets={
        DATASET: Origin("langevin", DATASET, "world", "steering", leak_guard="guard", guard_angle=0.6, identities=4)
    },
    generators={"world": Generator("procedural", True)},
    networks={"steering": Network("slim_iresnet", "two_eye", WEIGHTS, trained_on="own")},
    databases={"guard": Database(True), "own": Database(True)},
    training={"slim_lang": (DATASET,)},
    rendered_benchmarks=("lfw",),
    judge="judge",
    genuine="genuine",
)
PUBLISHED = dataclasses.replace(
    EMBEDDED,
    datasets={
        DATASET: Origin("within_class", "guarded", "sg2", "arc", ("faces",)),
        "guarded": Origin("hyperface", "guarded", "sg2", "arc", leak_guard="ffhq", guard_angle=None),
    },
    generators={
        "sg2": Generator("stylegan2", False, (PublishedFile(STYLEGAN, "FFHQ | 256", PAGE, "non-commercial", "1" * 64),))
    },
    networks={"arc": Network("nizhib iresnet50", "two_eye", "arc.pth", PublishedFile("arc.pth"))},
    databases={name: Database(False, PublishedFile(f"data/{name}")) for name in ("ffhq", "multipie", "webface")},
    covariates={"faces": Covariates("multipie")},
    training={"slim_lang": (DATASET, "webface")},
    rendered_benchmarks=(),
)


def build(written, folder, origins, layouts=tuple(LAYOUTS), **described):
    """A release called tiny, with one training set and the tables that cards quote, in a new folder."""
    folder.mkdir(exist_ok=True)
    material = folder / "material"
    given = written(material)
    checksums = {WEIGHTS: "a" * 64, STYLEGAN: "b" * 64}
    write_command(material / "command.yml", settings={}, seed=7, inputs=checksums)
    joined = JoinedTrainingSet(
        SET, [Part(DATASET, (material / "0.arrow", material / "1.arrow"), material / "samples.h5")]
    )
    for layout in layouts:
        (material / layout).mkdir()
        LAYOUTS[layout](joined, material / layout, shard_bytes=10**6, processes=1)
        write_record(material / layout, joined, layout, 1)
    (material / "leaks.csv").write_text("rank,reference,training_image,angle\n1,00001,x,0.512\n2,00000,y,0.601\n")
    (material / "quality.csv").write_text(
        "dataset,identities,images,identity_consistency,genuine_q05,genuine_q50,genuine_q95,leak_minimum,leak_q05\n"
        f"{DATASET},3,6,0.913,0.11,0.44,0.88,0.555,0.666\ngenuine,9,90,0.5,0.21,0.54,0.98,,\n"
    )
    (material / "accuracies.csv").write_text(
        "entry,benchmark,low,high,interval_over\nslim_lang,lfw,0.8511,0.9422,persons\n"
    )
    references = origins.datasets[DATASET].references if origins.datasets else DATASET
    guard = origins.datasets[references].leak_guard if origins.datasets else "guard"
    DatabaseIndex.create(material / "guard.sqlite", [Sample(f"{i}", f"{i}.png", i) for i in range(5)], {})
    Image.new("RGB", (4, 4)).save(material / "pairs.png")
    given |= {"description": dataclasses.replace(given["description"], **described), "origins": origins}
    given["datasets"] = [dataclasses.replace(given["datasets"][0], template="two_eye")]
    given["files"] += [
        FilePart(material / "leaks.csv", f"scores/leaks/{references}.csv"),
        FilePart(material / "quality.csv", "scores/quality.csv"),
        FilePart(material / "accuracies.csv", "scores/accuracies.csv"),
        FilePart(material / "guard.sqlite", f"databases/{guard or DATASET}.sqlite"),
        FilePart(material / "pairs.png", f"figures/leaks/{references}.png"),
    ]
    exports = {layout: material / layout / "export.json" for layout in layouts}
    given["training_sets"] = [TrainingSetPart(SET, exports, "two_eye")] if layouts else []
    build_release(folder / "tiny", **given)
    return folder / "tiny"


@pytest.fixture(scope="module")
def embedded(written, tmp_path_factory):
    """A release of the embedded world in all layouts."""
    return build(written, tmp_path_factory.mktemp("embedded"), EMBEDDED)


@pytest.fixture(scope="module")
def published(written, tmp_path_factory):
    """A release of a StyleGAN2 of FFHQ, under a licence that is none of the known ones."""
    folder, licence = tmp_path_factory.mktemp("published"), "as | we <b>like</b> it"
    return build(written, folder, PUBLISHED, layouts=("parquet",), licence=licence, date=None)


def card_of(release):
    return (release / "README.md").read_text(encoding="utf-8")


def blocks(text):
    return re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)


def test_the_header_is_that_of_a_dataset_card_of_the_hub(embedded):
    data = DatasetCard.load(embedded / "README.md").data.to_dict()
    assert data["license"] == "cc-by-4.0" and data["size_categories"] == ["n<1K"] and "langevin" in data["tags"]
    files = [{"split": "train", "path": f"data/{SET}/*.parquet"}]
    assert data["configs"] == [{"config_name": SET, "data_files": files}]


def test_a_licence_that_the_hub_does_not_know_is_named_and_linked(published):
    data = DatasetCard.load(published / "README.md").data.to_dict()
    assert (data["license"], data["license_name"]) == ("other", "as-we-b-like-b-it")
    assert data["license_link"] == "LICENSE" and "    as | we <b>like</b> it\n" in (published / "LICENSE").read_text()


@pytest.mark.parametrize("name", ["embedded", "published"])
def test_every_link_of_a_card_leads_to_a_file_of_the_release(name, request):
    release = request.getfixturevalue(name)
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", card_of(release)) if "://" not in target]
    assert "figures/examples.png" in targets and "trained_models/slim_lang/README.md" in targets
    assert [target for target in targets if not (release / target).is_file()] == []


def test_the_card_of_the_embedded_world_states_what_it_is(embedded):
    text = card_of(embedded)
    assert f"| `{SET}` | 6 | 3 | `{DATASET}` |" in text
    assert f"| `{DATASET}` | 6 | 3 | references by Langevin dynamics" in text and "; 3 of 4 succeeded" in text
    assert "12×12 pixels, template `two_eye`: left eye (3.66, 5.08), right eye (7.43, 5.08)" in text
    assert "has neither weights nor training images" in text and f"SHA-256 `{'a' * 64}`" in text
    assert "No photograph took part in making these data" in text and "The seed is 7" in text
    assert "`lfw` are **renderings of the embedded world**" in text
    assert "have licences of their own" not in text and "photographs of persons, of" not in text


def test_the_card_quotes_the_audit_the_scores_and_the_quality(embedded):
    text = card_of(embedded)
    audited = (
        f"| `{DATASET}` | 5 images of `guard` (renderings of the embedded world) | 0.600 | 0.512 | 0.555 | 0.666 |"
    )
    assert audited in text
    assert "two images of one person in `genuine` are 0.54 radians apart in the median, and 0.21 to 0.98" in text
    assert f"| `{DATASET}` | 91.3% | 0.44 |" in text and "| `genuine` | 50.0% | 0.54 |" in text
    assert (
        "| langevin | 0.8765 |" in text and f"| [slim_lang](trained_models/slim_lang/README.md) | `{DATASET}` |" in text
    )


def test_a_card_of_published_weights_says_nothing_of_formulas_or_absent_photographs(published):
    text = card_of(published)
    for untrue in ("No photograph", "by formulas", "no image shows", "renderings", "training images."):
        assert untrue not in text
    assert f"FFHQ \\| 256 ([source]({PAGE}))" in text and "**not that of the published file**" in text
    assert (
        "Steering FR network `arc`** (nizhib iresnet50, crops `two_eye`): `arc.pth`, checksum not recorded. Not" in text
    )
    assert "fitted on latents of projected images of `multipie` (not known to brownid)" in text
    assert "**At least one of them restricts use to research or to non-commercial purposes.**" in text
    assert "variations of `guarded` by Dispersion from a start that varies as photographs" in text
    assert "otroshi2025hyperface" in text


def test_photographs_in_the_release_are_named(published):
    limits = card_of(published).split("## Known limits")[1].split("##")[0]
    assert "`figures/leaks/guarded.png` shows photographs of persons, of the database `ffhq`." in limits
    assert "`trained_models/results/slim_lang/seed_1/batch.png` shows photographs of persons" in limits


def test_where_no_audit_ran_the_card_says_so(written, tmp_path):
    origins = dataclasses.replace(PUBLISHED, datasets={DATASET: Origin("langevin", DATASET, "sg2", "arc")})
    assert f"**No leak audit ran for `{DATASET}`**: how near" in card_of(
        build(written, tmp_path / "a", origins, layouts=())
    )
    text = card_of(build(written, tmp_path / "b", Origins(datasets={}), layouts=()))
    assert "Whether an audit ran is not recorded." in text and "not recorded, see its `command.yml`" in text


def test_text_of_the_configuration_becomes_no_markup(published):
    text = card_of(published)
    assert "<b>" not in text and "models/a\\|b \\`c\\` &lt;b&gt;.pkl" in text
    assert "as \\| we &lt;b&gt;like&lt;/b&gt; it" in text


@pytest.mark.nightly  # the imports of datasets and webdataset take seconds
def test_the_loading_examples_of_hugging_face_and_webdataset_run(embedded, tmp_path, monkeypatch):
    monkeypatch.chdir(embedded.parent)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    parquet, webdataset, *_ = blocks(card_of(embedded))
    found = {}
    exec(parquet + "\n\n" + webdataset.replace("faces =", "streamed ="), found)
    assert found["row"]["image"].size == (12, 12) and found["faces"].features["label"].num_classes == 3
    rows = list(found["streamed"])
    assert [image.size for image, _ in rows] == [(12, 12)] * 6 and {label for _, label in rows} == {0, 1, 2}


def test_the_other_loading_examples_run(embedded, monkeypatch):
    monkeypatch.chdir(embedded.parent)
    monkeypatch.setitem(sys.modules, "msgpack", SimpleNamespace(unpackb=lambda value: (value, value[-1])))
    *_, recordio, lmdb, published = blocks(card_of(embedded))
    found = {"config": SimpleNamespace()}
    exec(f"{recordio}\n{lmdb}", found)
    assert b"\x89PNG" in found["image"][:8] and found["label"] == 0
    assert (embedded.parent / found["config"].rec / "train.rec").is_file() and found["config"].num_classes == 3
    monkeypatch.chdir(embedded)
    exec(published, found)
    assert found["identity"] == "00012" and found["image"].size == (12, 12) and found["latent"].shape == (8,)


def test_croissant_validates_and_its_records_are_the_rows(embedded):
    dataset = mlcroissant.Dataset(jsonld=str(embedded / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    rows = pyarrow.parquet.read_table(embedded / "data" / SET).to_pylist()
    records = list(dataset.records(SET))
    assert len(records) == len(rows) == 6
    for record, row in zip(records, rows, strict=True):
        assert record[f"{SET}/label"] == row["label"] and record[f"{SET}/identity"].decode() == row["identity"]
        assert record[f"{SET}/image"].size == (12, 12)
        np.testing.assert_allclose(record[f"{SET}/latent"], row["latent"], rtol=1e-6)


def test_croissant_has_the_checksums_of_the_manifest(embedded):
    metadata = mlcroissant.Dataset(jsonld=str(embedded / "croissant.json")).metadata
    files = [each for each in metadata.distribution if isinstance(each, mlcroissant.FileObject)]
    assert files
    lines = (embedded / "checksums.sha256").read_text().splitlines()
    assert all(f"{file.sha256}  {file.content_url}" in lines for file in files)
    assert metadata.version == "1.0.0" and metadata.date_published.isoformat()[:10] == "2026-01-31"
    assert metadata.license == ["https://creativecommons.org/licenses/by/4.0/"] and "@misc{tiny" in metadata.cite_as


def test_the_licence_is_named_by_its_spdx_identifier_and_those_of_files_are_listed(embedded, published):
    text = (embedded / "LICENSE").read_text()
    assert "SPDX-License-Identifier: CC-BY-4.0" in text and "https://creativecommons.org/licenses/by/4.0/" in text
    assert "- FFHQ | 256: non-commercial" in (published / "LICENSE").read_text().splitlines()


def test_the_citation_is_valid_and_names_the_papers(embedded):
    cited = yaml.safe_load((embedded / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "dataset" and cited["license"] == "CC-BY-4.0"
    assert (cited["version"], cited["date-released"]) == ("1.0.0", "2026-01-31")
    assert [paper["year"] for paper in cited["references"]] == [2025]


def test_a_model_card_has_scores_data_and_the_whole_recipe(embedded, published):
    card = ModelCard.load(embedded / "trained_models/slim_lang/README.md")
    (result,) = card.data.eval_results
    assert (result.dataset_type, result.metric_value, result.metric_type) == ("lfw", 90.0, "accuracy")
    assert f"trained on `{DATASET}`" in card.text and "| `h` | `0.333` |" in card.text
    assert "| `lfw` | 90.00 | 85.11 to 94.22 |" in card.text and "over persons." in card.text
    assert "renderings of the embedded world" in card.text
    text = (published / "trained_models/slim_lang/README.md").read_text()
    assert f"`{DATASET}` + `webface` (not known to brownid)" in text and "net.py" not in text
    assert "- database webface: data/webface, source and licence not known to brownid" in text


ADAFACE = {"family": "adaface", "architecture": "ir_18", "image_size": 112}


@pytest.mark.parametrize(
    ("network", "told"), [(ADAFACE, True), (ADAFACE | {"image_size": 56}, False), (ADAFACE | {"family": "slim"}, False)]
)
def test_a_model_card_tells_how_adaface_loads_the_checkpoint_where_it_can(written, tmp_path, network, told):
    model = written(tmp_path)["models"][0]
    write_command(model.hyperparameters, settings={"network": network, "training": {}}, seed=1, inputs={})
    for place, source in model.places().items():
        (tmp_path / "release" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "release" / place)
    described = ReleaseDescription("tiny", "Faces.", "The makers", "MIT")
    write_model_cards(tmp_path / "release", described, [model.name], Origins())
    text = (tmp_path / "release/trained_models/slim_lang/README.md").read_text()
    assert ('net.build_model("ir_18")' in text) == (
        "weights_only=True" in text
    ) == told and "datasets that are not recorded" in text
