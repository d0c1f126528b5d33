"""Verification finds each kind of damage, also behind checksums that were made to fit, and says which file it is."""

import contextlib
import errno
import json
import os
import socket

import h5py
import numpy as np
import pytest

from brownid.release import contents, file_checks
from brownid.release.file_checks import left_in
from brownid.release.package import build_release
from brownid.release.verify import verify
from brownid.runtime.errors import BrownidError
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

    def show(items, description, unit, total):
        items = list(items)
        seen.append((description, len(items), total))
        return items

    verify(release, progress=show)
    assert seen == [("checking files", 25, 25), ("reading samples", 1, 1)]


@pytest.mark.parametrize("path", ["trained_models/slim_lang/seed_1.ckpt", "README.md", "scores/scores.csv"])
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


def test_several_processes_say_the_same_as_one_in_the_same_order(release, monkeypatch):
    flip(release / IMAGE, -20)
    (release / SAMPLES).unlink()
    monkeypatch.setattr(file_checks, "FILES_PER_TASK", 4)
    alone = verify(release, processes=1)
    monkeypatch.setattr(file_checks, "FILES_PER_PROCESS", 1)
    assert verify(release, processes=2) == alone and len(alone) == 3


def test_after_many_faults_the_others_are_counted(release, monkeypatch):
    monkeypatch.setattr("brownid.release.verify.MOST_PROBLEMS", 2)
    for number in range(5):
        (release / f"scores/{number}.txt").touch()
    assert verify(release) == [
        "scores/0.txt: the manifest does not list this file.",
        "scores/1.txt: the manifest does not list this file.",
        "3 further faults are not listed.",
    ]


def test_identities_of_more_than_five_digits_are_matched_with_their_images(material, tmp_path):
    build_release(tmp_path / "release", **material(people=(9, 10000, 100000, 1234567)))
    assert verify(tmp_path / "release") == []


def test_a_collection_is_read_in_parts_with_the_same_faults(release, monkeypatch):
    def change(file):
        file["00000/reference/embedding"][:] *= 2
        file["00012/reference/embedding"][:] *= 3
        del file["00001"]

    whole = spoil_samples(release, change)
    monkeypatch.setattr("brownid.samples.checks.BLOCK_ROWS", 2)
    assert verify(release) == whole and len(whole) == 5


def test_a_link_is_found(release, tmp_path):
    (release / "README.md").rename(tmp_path / "README.md")
    (release / "README.md").symlink_to(tmp_path / "README.md")
    assert verify(release) == ["README.md: this is a link; a release holds plain files only."]
    (release / "more").symlink_to(tmp_path)
    assert "more: the manifest does not list this file, which is a link." in verify(release)


def test_a_truncated_image_behind_a_fitting_manifest_is_found(release):
    (release / IMAGE).write_bytes((release / IMAGE).read_bytes()[:-30])
    contents.write_manifest(release)
    assert verify(release) == [f"{IMAGE}: the image is not usable, it is truncated."]


def test_an_image_of_another_size_behind_a_fitting_manifest_is_found(release):
    (release / IMAGE).write_bytes(png.encode(np.zeros((10, 10, 3), np.uint8)))
    contents.write_manifest(release)
    assert verify(release) == [f"{IMAGE}: the image is not usable, it is 10x10 instead of 12x12."]


def test_images_and_samples_that_do_not_match_are_found(release):
    (release / IMAGE).rename(release / IMAGE.replace("reference", "portrait"))
    contents.write_manifest(release)
    assert verify(release) == [
        f"{IMAGE}: the sample of this name in {SAMPLES} has no image.",
        f"{IMAGE.replace('reference', 'portrait')}: the image belongs to no sample of {SAMPLES}.",
    ]


def spoil_samples(release, change):
    with h5py.File(release / SAMPLES, "r+") as file:
        change(file)
    contents.write_manifest(release)
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
    contents.write_manifest(release)
    (problem,) = verify(release)
    assert problem.startswith(f"{SAMPLES}: this is not a readable HDF5 file")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("world_lang_v1/stats.h5", "this is not a readable HDF5 file"),
        ("world_lang_v1/command.yml", "this is no record of a command"),
        ("trained_models/slim_lang/seed_1.safetensors", "the weights cannot be read"),
        ("trained_models/results/slim_lang/seed_1/scores.json", "no JSON that can be read"),
        ("trained_models/results/slim_lang/seed_1/pairs.parquet", "no scores of pairs that can be read"),
        ("metadata.json", "the file is missing or does not describe a release"),
    ],
)
def test_a_file_of_nonsense_behind_a_fitting_manifest_is_found(release, path, sentence):
    (release / path).write_text("nonsense")
    contents.write_manifest(release)
    (problem,) = verify(release)
    assert problem.startswith(f"{path}: {sentence}")


def test_metadata_that_leads_elsewhere_is_refused(release):
    content = json.loads((release / "metadata.json").read_text())
    content["datasets"][0]["name"] = "../material"
    (release / "metadata.json").write_text(json.dumps(content))
    contents.write_manifest(release)
    assert verify(release) == ["The dataset name '../material' must consist of letters, digits, '.', '_' and '-'."]


@pytest.mark.parametrize("name", ["../slim_lang", "slim_lang/../../x", "slim_lang/", "a/b/c"])
def test_a_model_that_leads_elsewhere_is_refused(release, name):
    content = json.loads((release / "metadata.json").read_text())
    content["models"] = [name]
    (release / "metadata.json").write_text(json.dumps(content))
    contents.write_manifest(release)
    [problem] = verify(release)
    assert problem.startswith("The model name")


def test_a_dataset_that_the_metadata_does_not_describe_is_found(release):
    content = json.loads((release / "metadata.json").read_text())
    content["datasets"] = []
    (release / "metadata.json").write_text(json.dumps(content))
    contents.write_manifest(release)
    assert verify(release) == ["world_lang_v1: metadata.json does not describe this dataset."]


def test_checksums_that_differ_from_the_manifest_are_found(release):
    lines = (release / "checksums.sha256").read_text().splitlines()
    (release / "checksums.sha256").write_text("\n".join(lines[1:]) + "\n")
    assert verify(release) == ["checksums.sha256: the line of CITATION.cff is missing or differs from manifest.csv."]
    (release / "checksums.sha256").unlink()
    assert verify(release)[0].startswith("checksums.sha256: the file is missing or cannot be read")


LEFT = (
    *(".DS_Store", "Thumbs.db", "world_lang_v1/desktop.ini", "scores/._scores.csv", ".directory", ".nfs0000000001a2"),
    *(".ipynb_checkpoints/README-checkpoint.md", "__MACOSX/scores/._scores.csv", "world_lang_v1/@eaDir/a/b.jpg"),
    IMAGE.replace("reference", "._reference"),
)


def test_what_file_managers_leave_is_passed_over_and_named(release):
    assert left_in(release) == []
    for path in LEFT:
        (release / path).parent.mkdir(parents=True, exist_ok=True)
        (release / path).write_text("left")
    assert verify(release) == [] and left_in(release) == sorted(LEFT)


@pytest.mark.parametrize("path", ["DS_Store", "notes.db", "scores/ini", ".nfs_notes", "scores/.hidden", "MACOSX/a"])
def test_what_only_looks_like_it_is_found(release, path):
    (release / path).parent.mkdir(exist_ok=True)
    (release / path).write_text("mine")
    assert verify(release) == [f"{path}: the manifest does not list this file."]


def test_a_listed_file_of_such_a_name_is_checked_as_any_other(release):
    (release / "scores" / ".DS_Store").write_text("listed")
    contents.write_manifest(release)
    (release / "scores" / ".DS_Store").write_text("edited")
    (problem,) = verify(release)
    assert problem.startswith("scores/.DS_Store: the file has been changed") and left_in(release) == []


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):  # its path must be short
        made.bind(path.name)


MAKE = {"pipe": os.mkfifo, "socket": socket_at, "link": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir}
READ = (
    *("README.md", IMAGE, SAMPLES, "world_lang_v1/stats.h5", "world_lang_v1/command.yml", "metadata.json"),
    *(
        "trained_models/slim_lang/seed_1.safetensors",
        "trained_models/results/slim_lang/seed_1/scores.json",
        "checksums.sha256",
    ),
)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("path", READ)
def test_nothing_but_plain_files_is_opened(release, path, kind):
    (release / path).unlink()
    MAKE[kind](release / path)
    assert f"{path}: this is a {kind}; a release holds plain files only." in verify(release)


@pytest.mark.parametrize("kind", MAKE)
def test_a_manifest_that_is_no_plain_file_is_refused(release, kind):
    (release / "manifest.csv").unlink()
    MAKE[kind](release / "manifest.csv")
    with pytest.raises(BrownidError, match=rf"manifest\.csv: this is a {kind}"):
        verify(release)


def test_a_linked_folder_is_not_entered(release, tmp_path):
    (release / "world_lang_v1").rename(tmp_path / "elsewhere")
    (release / "world_lang_v1").symlink_to(tmp_path / "elsewhere")
    problems = verify(release)
    assert f"{SAMPLES}: this is a link; a release holds plain files only." in problems
    assert f"{IMAGE}: this is a link; a release holds plain files only." in problems
    assert "world_lang_v1: the manifest does not list this file, which is a link." in problems


def test_a_foreign_pipe_is_found_and_not_waited_for(release):
    os.mkfifo(release / IMAGE.replace("reference", "portrait"))
    assert verify(release) == [
        f"{IMAGE.replace('reference', 'portrait')}: the manifest does not list this file, which is a pipe."
    ]


def test_a_file_that_cannot_be_read_is_found(release, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(file_checks, "sha256", refuse)
    assert "README.md: the file cannot be read: Permission denied." in verify(release)


def test_an_image_file_that_is_longer_than_any_of_its_size_is_not_read(release):
    with open(release / IMAGE, "r+b") as file:
        file.truncate(2**40)  # without any block on the disk
    manifest_size(release, 2**40)
    problems = verify_without_checksums(release)
    assert f"{IMAGE}: the image is not usable, its {2**40} bytes are more than an image of that size has." in problems


def manifest_size(release, size):
    text = (release / "manifest.csv").read_text().splitlines()
    rows = [f"{IMAGE},{size},{'0' * 64}" if line.startswith(IMAGE) else line for line in text]
    (release / "manifest.csv").write_text("\n".join(rows) + "\n")


def verify_without_checksums(release):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_checks, "sha256", lambda path: "0" * 64)
        return verify(release)


@pytest.mark.parametrize("path", ["world_lang_v1/command.yml", "metadata.json",
                                  "trained_models/results/slim_lang/seed_1/scores.json"])  # fmt: skip
@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": "\xff"}', b'{"a": 1, "a": 2}']
)
def test_odd_text_behind_a_fitting_manifest_is_a_sentence(release, path, content):
    (release / path).write_bytes(content)
    contents.write_manifest(release)
    (problem,) = verify(release)
    assert path.split("/")[-1] in problem and problem.endswith(".")


@pytest.mark.parametrize(
    ("field", "value"), [("name", 5), ("image_size", "12"), ("image_size", True), ("samples", None), ("statistics", 1),
                         ("latent_dimension", "8"), ("generator", ["a"])]
)  # fmt: skip
def test_metadata_of_other_types_are_a_sentence(release, field, value):
    content = json.loads((release / "metadata.json").read_text())
    content["datasets"][0][field] = value
    (release / "metadata.json").write_text(json.dumps(content))
    contents.write_manifest(release)
    (problem,) = verify(release)
    assert problem.startswith(f"metadata.json: {field} of the dataset")


def test_a_name_that_would_move_the_cursor_or_is_no_utf8_is_told_in_plain_letters(release):
    for name in (b"\x1b[2J\r\nfine", b"\xff"):
        (release / os.fsdecode(name)).write_text("x")
    assert verify(release) == [
        r"\x1b[2J\r\nfine: the manifest does not list this file.",
        r"\udcff: the manifest does not list this file.",
    ]


@pytest.mark.parametrize("path", ["../material/samples.h5", "/etc/hostname", "scores/../../material/samples.h5"])
def test_a_manifest_that_leaves_the_release_is_refused(release, path):
    with open(release / "manifest.csv", "a") as file:
        file.write(f"{path},1,{'0' * 64}\n")
    with pytest.raises(BrownidError, match=r"manifest\.csv: line 27: The path .* is refused"):
        verify(release)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "does not begin with path,bytes,sha256"),
        ("path,bytes,sha256\nREADME.md,x,y\n", "line 2 of the manifest is not"),
        (f"path,bytes,sha256\nREADME.md,{'9' * 5000},{'0' * 64}\n", "line 2 of the manifest is not"),
        (f"path,bytes,sha256\nREADME.md,\u0665,{'0' * 64}\n", "line 2 of the manifest is not"),
        (f"path,bytes,sha256\nREADME.md,5,{'g' * 64}\n", "line 2 of the manifest is not"),
        ("path,bytes,sha256\n" + "a" * 10**6, "line 2 of the manifest is not"),
    ],
)
def test_an_unreadable_manifest_is_refused(release, text, sentence):
    (release / "manifest.csv").write_text(text)
    with pytest.raises(BrownidError, match=sentence):
        verify(release)


def test_a_file_listed_twice_is_refused(release):
    lines = (release / "manifest.csv").read_text()
    (release / "manifest.csv").write_text(lines + lines.splitlines()[1] + "\n")
    with pytest.raises(BrownidError, match=r"lists CITATION\.cff a second time"):
        verify(release)


def test_a_manifest_out_of_order_is_refused(release):
    header, *rows = (release / "manifest.csv").read_text().splitlines()
    (release / "manifest.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    with pytest.raises(BrownidError, match=r"line 3 lists .* a second time, or out of order"):
        verify(release)


def test_a_folder_that_is_missing_or_no_release_is_refused(tmp_path):
    with pytest.raises(BrownidError, match="absent: there is no such folder"):
        verify(tmp_path / "absent")
    with pytest.raises(BrownidError, match=r"there is no manifest\.csv, so this is no release"):
        verify(tmp_path)
