"""Listing: every image below a folder once, whatever it is named and whatever leads to it."""

import os
import socket

import pytest
from PIL import Image

from brownid.databases.folders import index_identity_folders
from brownid.databases.index import DatabaseIndex
from brownid.databases.listing import (
    NamedImages,
    distinct_keys,
    find_images,
    image_paths,
    key_of,
    path_of,
    path_text,
)
from brownid.databases.reading import read_images, write_failures
from brownid.runtime.errors import BrownidError

LATIN = "Jos\udce9"  # as the system gives the bytes b"Jos\xe9"


def image(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (9, 90, 200)).save(path, format=kind)


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


SUFFIXES = "pgm ppm pbm pnm tif tiff jfif gif jp2 avif bmp webp png jpg jpeg JPG Tif"


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_every_format_that_is_read_is_listed_by_its_suffix(tmp_path, suffix):
    touch(tmp_path, f"a.{suffix}")
    assert image_paths(tmp_path) == [f"a.{suffix}"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("name", ["0001", "Ann.Lee-Jones", "version1.0", "photo.jpg_large", "face.jpg?size=1"])
def test_a_file_without_a_suffix_is_an_image_by_its_content(tmp_path, kind, name):
    image(tmp_path / name, kind)
    assert image_paths(tmp_path) == [name]


def test_what_is_passed_over_is_counted_by_suffix(tmp_path, caplog):
    touch(tmp_path, "a/1.png", "a/1.txt", "b/2.txt", "c.CSV", "README", ".hidden", "Python")
    (tmp_path / "Python").write_text("Py is how text may begin, and so does a PPM file")
    (tmp_path / "faked").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    assert image_paths(tmp_path) == ["a/1.png"]
    assert f"{tmp_path}: passed over 6 files: 3 without a suffix, 2 .txt, 1 .csv" in caplog.text


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path / "all", "0/1.png", "1/1.png", "single.png")
    touch(tmp_path / "part", "own/1.png")
    (tmp_path / "part" / "linked").symlink_to(tmp_path / "all" / "0")
    (tmp_path / "part" / "own" / "2.png").symlink_to(tmp_path / "all" / "single.png")
    (tmp_path / "link").symlink_to(tmp_path / "part")
    expected = ["linked/1.png", "own/1.png", "own/2.png"]
    assert image_paths(tmp_path / "part") == expected and image_paths(tmp_path / "link") == expected


@pytest.mark.parametrize(
    ("link", "target"),
    [("a/loop", ".."), ("a/loop", "."), ("a/loop", "../../.."), ("loop", "."), ("c", "a"), ("a/c", "../b")],
)
def test_a_link_to_what_is_listed_already_lists_nothing_twice_and_is_named(tmp_path, link, target, caplog):
    touch(tmp_path / "root", "a/1.png", "b/1.png")
    (tmp_path / "root" / link).symlink_to(target)
    assert image_paths(tmp_path / "root") == ["a/1.png", "b/1.png"]
    assert f"{link} -> {target}" in caplog.text


def test_two_folders_that_link_to_each_other_end_the_search(tmp_path):
    touch(tmp_path, "one/1.png", "two/2.png", "root/own.png")
    (tmp_path / "root" / "one").symlink_to(tmp_path / "one")
    (tmp_path / "one" / "two").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    assert image_paths(tmp_path / "root") == ["one/1.png", "one/two/2.png", "own.png"]


def test_links_that_lead_nowhere_and_what_is_no_file_are_named(tmp_path, caplog, monkeypatch):
    touch(tmp_path, "a/1.png")
    (tmp_path / "gone").symlink_to("/nowhere/at all")
    (tmp_path / "self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert image_paths(tmp_path) == ["a/1.png"]
    assert "links that lead nowhere: 2, the first is gone -> /nowhere/at all" in caplog.text
    assert "neither files nor folders: 2, the first is pipe.png" in caplog.text


def test_a_folder_that_cannot_be_read_is_named(tmp_path, caplog, monkeypatch):
    touch(tmp_path, "a/1.png", "lost+found/2.png")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert image_paths(tmp_path) == ["a/1.png"]
    assert "folders that cannot be read: 1, the first is lost+found" in caplog.text
    with pytest.raises(BrownidError, match=r"cannot be read \(No such file or directory\)"):
        find_images(tmp_path / "absent")


def test_the_sentence_about_a_folder_without_images_says_what_is_there(tmp_path):
    touch(tmp_path, "a.txt", "b/c.txt")
    with pytest.raises(BrownidError, match=r"no image in or below this folder \(passed over 2 files: 2 .txt\)"):
        image_paths(tmp_path)


def test_names_that_are_not_utf_8_are_read_from_the_index_and_listed_as_escaped_text(tmp_path, caplog):
    root = tmp_path / "root"
    image(root / LATIN / "1.png")
    image(root / "Ann\nLee" / "\x1b[2J.png")
    touch(root, f"{LATIN}/2\udcff.png")
    index_identity_folders(root, tmp_path / "index")
    with DatabaseIndex.open(tmp_path / "index") as index:
        samples = index.samples()
    assert [sample.path for sample in samples] == [
        r"Ann\x0aLee/\x1b[2J.png",
        r"Jos\xe9/1.png",
        r"Jos\xe9/2\xff.png",
    ]
    assert [sample.key for sample in samples] == ["Ann_x0aLee__x1b[2J", "Jos_xe9_1", "Jos_xe9_2_xff"]
    images, kept, failures = read_images(samples, root, 4, maximum_failed_share=0.5)
    assert len(kept) == len(images) == 2 and failures[0][0] == r"Jos\xe9/2\xff.png"
    write_failures(tmp_path / "failures.csv", failures)
    assert r"Jos\xe9/2\xff.png,the file is empty" in (tmp_path / "failures.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [LATIN, r"Jos\xe9", "a\\b", r"\x5c", "caf\u00e9", "tab\t", "\udcff\udc80", r"\\xe9"])
def test_every_name_is_found_again_by_its_text(tmp_path, name):
    for each in (LATIN, r"Jos\xe9"):  # next to one that is named after the text of another
        (tmp_path / each).touch()
    (tmp_path / name).touch()
    text = path_text(tmp_path / name)
    text.encode("utf-8")
    assert text.isprintable() and path_of(text) == tmp_path / name


def test_a_path_of_another_index_is_its_own_where_no_file_has_the_escaped_name(tmp_path):
    (tmp_path / r"a\x41").touch()
    assert path_of(tmp_path / r"a\x41") == tmp_path / r"a\x41"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("ann/1.png", "ann_1"),
        ("John Doe/b c.JPG", "John_Doe_b_c"),
        ("a/John.Smith", "a_John.Smith"),
        ("a.b/v1.0", "a.b_v1.0"),
        ("x.rec/.png", "x.rec_.png"),
        ("..", ".."),
    ],
)
def test_a_key_is_the_path_without_suffix_slashes_and_blanks(path, key):
    assert key_of(path) == key


def test_a_key_depends_on_its_path_and_on_a_collision_only():
    paths = ["a/1.png", "a/1.jpg", "a 1.png", "b/1.png"]
    keys = distinct_keys(paths)
    assert len(set(keys.values())) == 4 and keys["b/1.png"] == "b_1"
    assert distinct_keys(reversed(paths)) == keys
    assert {**keys, **distinct_keys(paths[:2])} == keys
    assert distinct_keys(["a/1.png"]) == {"a/1.png": "a_1"}


def test_a_file_that_is_named_after_the_checksum_of_another_has_a_key_of_its_own():
    paths = ["a/1.png", "a/1.jpg"]
    paths += [f"{key}.png" for key in distinct_keys(paths).values()]
    assert len(set(distinct_keys(paths).values())) == 4


def test_images_are_found_by_their_names_without_suffix(tmp_path):
    touch(tmp_path, "ann/1.PGM", "ann/2.png", "ann/2.jpg", "ann/2.txt", "bo.li/1.5.tiff")
    image(tmp_path / "ann" / "3")
    images = NamedImages(tmp_path)
    found = [images.path(stem) for stem in ("ann/1", "ann/2", "ann/3", "bo.li/1.5", "ann/4", "nobody/1")]
    assert found == ["ann/1.PGM", "ann/2.jpg", "ann/3", "bo.li/1.5.tiff", None, None]
