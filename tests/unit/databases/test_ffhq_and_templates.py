"""Databases that files describe: FFHQ's JSON, UTKFace's names, the templates of IJB-C."""

import json
import os

import numpy as np
import pytest
from test_listing import touch

from brownid.databases.ffhq import index_ffhq
from brownid.databases.folders import index_utkface
from brownid.databases.index import DatabaseIndex
from brownid.databases.reading import landmark_points
from brownid.databases.templates import index_templates
from brownid.runtime.errors import BrownidError

POINTS = np.random.default_rng(0).uniform(0, 900, (68, 2)).round(2)


def samples_of(path, **query):
    with DatabaseIndex.open(path) as index:
        return index.samples(**query)


@pytest.fixture
def metadata(tmp_path):
    def entry(number, category):
        name = f"{number // 1000 * 1000:05}/{number:05}.png"
        return {
            "category": category,
            "metadata": {
                "author": "A. Nobody",
                "license": "Attribution License",
                "license_url": "https://cc",
                "country": "",
            },
            "image": {"file_path": f"images1024x1024/{name}", "face_landmarks": POINTS.tolist()},
            "thumbnail": {"file_path": f"thumbnails128x128/{name}"},
            "in_the_wild": {"file_path": f"in-the-wild-images/{name}", "face_landmarks": (POINTS + 9).tolist()},
        }

    entries = {str(number): entry(number, "training" if number < 2 else "validation") for number in (0, 1, 2, 60001)}
    (tmp_path / "ffhq.json").write_text(json.dumps(entries))
    touch(tmp_path, *(e[s]["file_path"] for e in list(entries.values())[:3] for s in ("image", "in_the_wild")))
    return tmp_path / "ffhq.json"


def test_ffhq_has_its_groups_numbers_licences_and_landmarks(metadata, tmp_path, caplog):
    assert index_ffhq(tmp_path, tmp_path / "index", metadata) == 3
    assert "1 of 4 images" in caplog.text
    first, second = samples_of(tmp_path / "index", group="training", protocol="ffhq")
    assert (first.path, second.identity) == ("images1024x1024/00000/00000.png", 1)
    assert first.meta["license"] == "Attribution License" and first.meta["author"] == "A. Nobody"
    expected = [POINTS[36:42].mean(axis=0), POINTS[42:48].mean(axis=0), POINTS[30], POINTS[48], POINTS[54]]
    np.testing.assert_allclose(landmark_points(first.meta["landmarks"]), expected, atol=0.005)
    assert [s.identity for s in samples_of(tmp_path / "index", group="validation")] == [2]


@pytest.mark.parametrize("root", ["..", "images1024x1024", "images1024x1024/00000"])
def test_a_root_above_or_below_the_right_one_is_named(metadata, tmp_path, root):
    with pytest.raises(BrownidError, match=f"which is below {tmp_path}: set `root` to that folder"):
        index_ffhq((tmp_path / root).resolve(), tmp_path / "index", metadata)


def test_each_set_of_ffhq_has_its_own_paths_and_landmarks(metadata, tmp_path):
    index_ffhq(tmp_path, tmp_path / "wild", metadata, "in_the_wild")
    wild = samples_of(tmp_path / "wild")[0]
    assert wild.path == "in-the-wild-images/00000/00000.png"
    np.testing.assert_allclose(landmark_points(wild.meta["landmarks"])[2], POINTS[30] + 9, atol=0.005)
    with pytest.raises(BrownidError, match=r"None of the 4 images .* thumbnails128x128/00000/00000.png"):
        index_ffhq(tmp_path, tmp_path / "none", metadata, "thumbnails")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not readable as FFHQ's metadata"),
        ("[]", "no metadata of FFHQ"),
        ('{"0": {"category": "test"}}', "entry '0' is not as in ffhq-dataset-v2.json"),
        ('{"0": 1}', "entry '0' is not as in"),
    ],
)
def test_what_is_not_ffhqs_metadata_is_refused(tmp_path, text, sentence):
    (tmp_path / "ffhq.json").write_text(text)
    with pytest.raises(BrownidError, match=sentence):
        index_ffhq(tmp_path, tmp_path / "index", tmp_path / "ffhq.json")


def test_every_image_of_utkface_is_a_person_with_attributes(tmp_path, caplog):
    touch(
        tmp_path / "root", "25_1_2_20170116003421547.jpg", "9_0_4_20170116.jpg.chip.jpg", "61_1_20170109142408075.jpg"
    )
    assert index_utkface(tmp_path / "root", tmp_path / "index") == 3
    first, unnamed, last = samples_of(tmp_path / "index")
    assert first.meta == {"age": 25, "gender": "female", "race": "asian"}
    assert last.meta == {"age": 9, "gender": "male", "race": "others"} and unnamed.meta == {}
    assert [first.identity, unnamed.identity, last.identity] == [0, 1, 2]
    assert "1 of 3 images have no age" in caplog.text
    touch(tmp_path / "other", "ann.jpg")
    with pytest.raises(BrownidError, match=r"No image .* has a name of UTKFace"):
        index_utkface(tmp_path / "other", tmp_path / "index")


def test_templates_stand_for_persons_where_nothing_says_who_is_shown(tmp_path, caplog):
    (tmp_path / "tid_mid.txt").write_text("1.jpg 10 100\n2.jpg 10 101\n3.jpg 11 102\n1.jpg 12 100\n")
    (tmp_path / "points.txt").write_text("1.jpg 1 2 3 4 5 6 7 8 9 10 0.99\n")
    touch(tmp_path, "1.jpg", "2.jpg")
    index = tmp_path / "index"
    assert index_templates(tmp_path, index, tmp_path / "tid_mid.txt", tmp_path / "points.txt") == 3
    found = samples_of(index)
    assert [(s.path, s.identity, s.meta["media"]) for s in found] == [
        ("1.jpg", 10, 100),
        ("2.jpg", 10, 101),
        ("3.jpg", 11, 102),
    ]
    assert landmark_points(found[0].meta["landmarks"])[4].tolist() == [9, 10] and "landmarks" not in found[1].meta
    assert "1 images are in several templates" in caplog.text


def test_a_csv_of_templates_can_say_who_is_shown(tmp_path):
    (tmp_path / "list.csv").write_text("subject,media,path,template\n5,1,a.jpg,7\n5,2,b.jpg,8\n")
    touch(tmp_path, "a.jpg")
    index_templates(tmp_path, tmp_path / "index", tmp_path / "list.csv")
    assert [(s.identity, s.meta["template"]) for s in samples_of(tmp_path / "index")] == [(5, 7), (5, 8)]


@pytest.mark.parametrize(
    ("name", "line", "raw", "text"),
    [
        ("list.txt", b"%s 7 1", b"Jos\xe9.jpg", r"Jos\xe9.jpg"),
        ("list.csv", b"path,template,media\r\n%s,7,1\r\n", b"Jos\xe9.jpg", r"Jos\xe9.jpg"),
        ("list.csv", b"path,template,media\n%s,7,1\n", "a\x85b\u2028.jpg".encode(), "a\x85b\u2028.jpg"),
    ],
)
def test_names_of_lists_are_those_of_the_files_whatever_their_characters(tmp_path, name, line, raw, text):
    (tmp_path / os.fsdecode(raw)).touch()
    (tmp_path / name).write_bytes(line % raw)
    index_templates(tmp_path, tmp_path / "index", tmp_path / name)
    assert [sample.path for sample in samples_of(tmp_path / "index")] == [text]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("l.csv", "path,template,media\n" + "x" * 200_000 + ",1,1\n", "lines cannot be cut into columns"),
        ("l.txt", "1.jpg 10 100\0\n", "the list is no text: it holds zero bytes"),
        ("l.txt", "1.jpg 10 100\n2.jpg ten 1\n", "line 2: expected an image and whole numbers"),
        ("l.csv", "path,template\n", "no column 'media'"),
        ("l.txt", "9.jpg 1 1\n", "None of the 1 images"),
        ("l.txt", "", "the list names no image"),
    ],
)
def test_what_is_no_list_of_templates_is_refused(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(BrownidError, match=sentence):
        index_templates(tmp_path, tmp_path / "index", tmp_path / name)


@pytest.mark.parametrize("points", ["text", [["a", "b"]] * 68, POINTS.tolist()[:67], [[1.0]] * 68, {"x": 1}, None])
def test_landmarks_that_are_none_name_the_entry_and_print_no_list(metadata, tmp_path, points):
    entries = json.loads(metadata.read_text())
    entries["2"]["image"]["face_landmarks"] = points
    metadata.write_text(json.dumps(entries))
    with pytest.raises(BrownidError, match=r"entry '2' .*face_landmarks of its image are not 68 pairs") as caught:
        index_ffhq(tmp_path, tmp_path / "index", metadata)
    assert len(str(caught.value)) < 300


def test_metadata_nested_without_end_are_refused(tmp_path):
    (tmp_path / "deep.json").write_text('{"a":' * 100000)
    with pytest.raises(BrownidError, match="not readable as FFHQ's metadata"):
        index_ffhq(tmp_path, tmp_path / "index", tmp_path / "deep.json")
