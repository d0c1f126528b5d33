"""A release opens in one line with the tools of the field, offline and as a stream."""

import datasets
import mlcroissant
import pytest
import webdataset

NAME, ROWS, CLASSES = "people_set", 6, ["people/00000", "people/00001", "people/00012"]


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory):
    """No network, and caches in a temporary folder."""
    folder = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.setattr("socket.socket.connect", None)
        yield


@pytest.fixture(scope="module")
def opened(made_with_sets):
    """The training set as `datasets` opens it."""
    return datasets.load_dataset(str(made_with_sets), NAME)["train"]


def test_datasets_opens_a_training_set_with_all_rows_images_and_class_names(opened):
    assert len(opened) == ROWS and opened.features["label"].names == CLASSES
    assert opened["label"] == [0, 0, 1, 1, 2, 2]
    for row in opened:
        assert row["image"].size == (12, 12) and row["image"].mode == "RGB"
        assert row["identity"] == CLASSES[row["label"]] and len(row["latent"]) == 8 and len(row["embedding"]) == 4


def test_datasets_streams_a_training_set(made_with_sets, opened):
    stream = datasets.load_dataset(str(made_with_sets), NAME, split="train", streaming=True)
    rows = list(stream)
    assert [row["sample"] for row in rows] == opened["sample"] and rows[0]["image"].size == (12, 12)


def test_the_names_of_the_training_sets_are_the_configurations(made_with_sets):
    assert datasets.get_dataset_config_names(str(made_with_sets)) == [NAME]


def test_class_folders_of_the_published_layout_are_as_many_classes_as_identities(made_with_sets):
    (folder,) = (made_with_sets / "world_lang_v1").glob("images_arcface_*")
    found = datasets.load_dataset("imagefolder", data_dir=str(folder))["train"]
    assert found.features["label"].names == ["00000", "00001", "00012"] and len(found) == ROWS
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())  # as torchvision's ImageFolder finds them
    assert classes == found.features["label"].names


def test_a_release_with_several_training_sets_asks_for_a_name(made_with_sets, tmp_path):
    text = (made_with_sets / "README.md").read_text()
    first = text[text.index("- config_name") : text.index("\n---", 4)]
    (tmp_path / "data").symlink_to(made_with_sets / "data")
    (tmp_path / "README.md").write_text(text.replace(first, f"{first}\n{first.replace(NAME, 'other')}"))
    with pytest.raises(ValueError, match=f"Config name is missing(?s:.*){NAME}(?s:.*)other"):
        datasets.load_dataset(str(tmp_path))


@pytest.mark.parametrize("release", ["made_with_sets", "made"])
def test_the_folder_itself_opens_as_its_only_dataset_with_labels(release, request):
    folder = request.getfixturevalue(release)
    found = datasets.load_dataset(str(folder if release == "made_with_sets" else folder / "release"))["train"]
    assert len(found) == ROWS and len(found.features["label"].names) == len(CLASSES)


def test_imagefolder_finds_no_contact_sheets_in_the_folder(made_with_sets):
    with pytest.raises(ValueError, match="no data"):
        datasets.load_dataset("imagefolder", data_dir=str(made_with_sets))


def test_webdataset_streams_the_shards(made_with_sets):
    shards = str(made_with_sets / f"webdataset/{NAME}/train-00000.tar")
    rows = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("png", "cls", "json"))
    assert sorted(label for _, label, _ in rows) == [0, 0, 1, 1, 2, 2]
    assert {(about["label"], about["identity"]) for _, _, about in rows} == set(enumerate(CLASSES))
    assert all(image.size == (12, 12) for image, _, _ in rows)


def test_mlcroissant_validates_and_iterates_the_records(made_with_sets):
    found = mlcroissant.Dataset(jsonld=made_with_sets / "croissant.json")
    assert not found.metadata.issues.errors
    records = list(found.records(NAME))
    assert len(records) == ROWS
