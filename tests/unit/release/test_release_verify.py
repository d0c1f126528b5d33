"""Verification finds each kind of damage, also behind checksums that were made to fit, and says which file it is."""

import json

import h5py
import numpy as np
import pytest

from brownid.errors import BrownidError
from brownid.release import manifest, verify
from brownid.samples import png

IMAGE = "world_lang_v1/images_arcface_12x12/00001/reference.png"
SAMPLES = "world_lang_v1/samples.h5"


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def test_a_whole_release_has_no_problems(release):
    assert verify(release) == []


def test_progress_is_shown_through_the_function_given(release):
    seen = []

    def show(items, description, unit):
        seen.append((description, len(items)))
        return items

    verify(release, show)
    assert seen == [("checking files", 20), ("decoding images of world_lang_v1", 6)]


@pytest.mark.parametrize("path", ["trained_models/slim_lang.ckpt", "README.md", "scores/scores.csv"])
def test_a_flipped_byte_is_found(release, path):
    flip(release / path, 3)
    assert verify(release) == [f"{path}: the file has been changed, its SHA-256 is not the manifest's."]


def test_a_flipped_byte_in_an_image_is_found_and_explained(release):
    flip(release / IMAGE, -20)
    assert verify(release) == [
        f"{IMAGE}: the file has been changed, its SHA-256 is not the manifest's.",
        f"{IMAGE}: the image is not usable, its IDAT part is damaged (wrong checksum).",
    ]


def test_a_missing_file_is_found_once(release):
    (release / IMAGE).unlink()
    assert verify(release) == [f"{IMAGE}: the file is missing."]


def test_a_file_of_another_size_is_found(release):
    (release / "README.md").write_text("short")
    (problem,) = verify(release)
    assert problem.startswith("README.md: the file has 5 bytes instead of ")


def test_an_extra_file_is_found(release):
    (release / "scores" / "notes.txt").write_text("mine")
    assert verify(release) == ["scores/notes.txt: the manifest does not list this file."]


def test_a_link_is_found(release, tmp_path):
    (release / "README.md").rename(tmp_path / "README.md")
    (release / "README.md").symlink_to(tmp_path / "README.md")
    assert verify(release) == ["README.md: this is a link; a release holds plain files only."]
    (release / "more").symlink_to(tmp_path)
    assert "more: the manifest does not list this file." in verify(release)


def test_a_truncated_image_behind_a_fitting_manifest_is_found(release):
    (release / IMAGE).write_bytes((release / IMAGE).read_bytes()[:-30])
    manifest.write_manifest(release)
    assert verify(release) == [f"{IMAGE}: the image is not usable, it is truncated."]


def test_an_image_of_another_size_behind_a_fitting_manifest_is_found(release):
    (release / IMAGE).write_bytes(png.encode(np.zeros((10, 10, 3), np.uint8)))
    manifest.write_manifest(release)
    assert verify(release) == [f"{IMAGE}: the image is not usable, it is 10x10 instead of 12x12."]


def test_images_and_samples_that_do_not_match_are_found(release):
    (release / IMAGE).rename(release / IMAGE.replace("reference", "portrait"))
    manifest.write_manifest(release)
    assert verify(release) == [
        f"{IMAGE}: the sample of this name in {SAMPLES} has no image.",
        f"{IMAGE.replace('reference', 'portrait')}: the image belongs to no sample of {SAMPLES}.",
    ]


def spoil_samples(release, change):
    with h5py.File(release / SAMPLES, "r+") as file:
        change(file)
    manifest.write_manifest(release)
    return verify(release)


def test_an_embedding_of_nan_behind_a_fitting_manifest_is_found(release):
    def change(file):
        file["00001/reference/embedding"][0, 2] = np.nan

    (problem,) = spoil_samples(release, change)
    assert problem.startswith(f"{SAMPLES}: embeddings of identity 1, label 'reference' ")
    assert problem.endswith("holds NaN or infinite numbers.")


def test_an_embedding_that_is_not_of_unit_length_is_found(release):
    def change(file):
        file["00001/reference/embedding"][:] *= 2

    assert spoil_samples(release, change) == [
        f"{SAMPLES}: 1 embeddings are not of unit length, the first is identity 1, label 'reference' with length 2."
    ]


def test_counts_that_the_metadata_does_not_say_are_found(release):
    problems = spoil_samples(release, lambda file: file.__delitem__("00012"))
    assert f"{SAMPLES}: samples is 4, metadata.json says 6." in problems
    assert f"{SAMPLES}: identities is 2, metadata.json says 3." in problems
    assert len(problems) == 4  # and two images without a sample


def test_a_truncated_collection_is_found(release):
    (release / SAMPLES).write_bytes((release / SAMPLES).read_bytes()[:2000])
    manifest.write_manifest(release)
    (problem,) = verify(release)
    assert problem.startswith(f"{SAMPLES}: this is not a readable HDF5 file")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("world_lang_v1/stats.h5", "this is not a readable HDF5 file"),
        ("world_lang_v1/command.yml", "this is no record of a command"),
        ("trained_models/slim_lang.safetensors", "the weights cannot be read"),
        ("trained_models/results/slim_lang/scores.json", "the scores cannot be read"),
        ("metadata.json", "the file is missing or does not describe a release"),
    ],
)
def test_a_file_of_nonsense_behind_a_fitting_manifest_is_found(release, path, sentence):
    (release / path).write_text("nonsense")
    manifest.write_manifest(release)
    (problem,) = verify(release)
    assert problem.startswith(f"{path}: {sentence}")


def test_metadata_that_leads_elsewhere_is_refused(release):
    content = json.loads((release / "metadata.json").read_text())
    content["recordSet"][0]["name"] = "../material"
    (release / "metadata.json").write_text(json.dumps(content))
    manifest.write_manifest(release)
    assert verify(release) == ["the dataset name '../material' must consist of letters, digits, '.', '_' and '-'."]


def test_a_dataset_that_the_metadata_does_not_describe_is_found(release):
    content = json.loads((release / "metadata.json").read_text())
    content["recordSet"] = []
    (release / "metadata.json").write_text(json.dumps(content))
    manifest.write_manifest(release)
    assert verify(release) == ["world_lang_v1: metadata.json does not describe this dataset."]


def test_checksums_that_differ_from_the_manifest_are_found(release):
    lines = (release / "checksums.sha256").read_text().splitlines()
    (release / "checksums.sha256").write_text("\n".join(lines[1:]) + "\n")
    assert verify(release) == ["checksums.sha256: the line of README.md is missing or differs from manifest.csv."]
    (release / "checksums.sha256").unlink()
    assert verify(release)[0].startswith("checksums.sha256: the file is missing or cannot be read")


@pytest.mark.parametrize("path", ["../material/samples.h5", "/etc/hostname", "scores/../../material/samples.h5"])
def test_a_manifest_that_leaves_the_release_is_refused(release, path):
    with open(release / "manifest.csv", "a") as file:
        file.write(f"{path},1,{'0' * 64}\n")
    with pytest.raises(BrownidError, match=r"manifest\.csv: line 22: the path .* is refused"):
        verify(release)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "does not begin with path,bytes,sha256"),
        ("path,bytes,sha256\nREADME.md,x,y\n", "line 2 of the manifest is not"),
    ],
)
def test_an_unreadable_manifest_is_refused(release, text, sentence):
    (release / "manifest.csv").write_text(text)
    with pytest.raises(BrownidError, match=sentence):
        verify(release)


def test_a_file_listed_twice_is_refused(release):
    lines = (release / "manifest.csv").read_text()
    (release / "manifest.csv").write_text(lines + lines.splitlines()[1] + "\n")
    with pytest.raises(BrownidError, match=r"lists README\.md a second time"):
        verify(release)


def test_a_folder_that_is_missing_or_no_release_is_refused(tmp_path):
    with pytest.raises(BrownidError, match="absent: there is no such folder"):
        verify(tmp_path / "absent")
    with pytest.raises(BrownidError, match=r"there is no manifest\.csv, so this is no release"):
        verify(tmp_path)
