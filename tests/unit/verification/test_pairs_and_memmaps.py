"""Benchmarks of other forms: pairs files and AdaFace's memory maps, which become .bin files."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from brownid.databases.reading import image_aligner
from brownid.runtime.errors import BrownidError
from brownid.verification.bins import read_adaface, read_bin
from brownid.verification.pairs import Pair, read_pairs
from prepare_benchmark import pack_adaface, pack_pairs

SIDE = 8


def npy(header):
    """A file of numpy's with this header and no numbers."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


LFW = "2\t1\nAnn\t1\t2\nAnn\t1\tBo_Li\t3\n\nBo_Li\t1\t3\nBo_Li\t1\tAnn\t2\n"


def decoded(image):
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


def pairs_of(tmp_path, text, name="pairs.txt"):
    (tmp_path / name).write_text(text)
    return read_pairs(tmp_path / name, tmp_path)


def test_pairs_of_lfw_name_a_person_and_the_numbers_of_the_images(tmp_path):
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ann" / "Ann_0002.png").touch()
    assert pairs_of(tmp_path, LFW) == [
        Pair("Ann/Ann_0001.jpg", "Ann/Ann_0002.png", True),
        Pair("Ann/Ann_0001.jpg", "Bo_Li/Bo_Li_0003.jpg", False),
        Pair("Bo_Li/Bo_Li_0001.jpg", "Bo_Li/Bo_Li_0003.jpg", True),
        Pair("Bo_Li/Bo_Li_0001.jpg", "Ann/Ann_0002.png", False),
    ]
    assert len(pairs_of(tmp_path, "1\nAnn 1 2\nAnn 1 Bo 3\n")) == 2  # pairsDevTest.txt


def test_images_that_are_named_without_a_suffix_are_found_in_every_format(tmp_path):
    (tmp_path / "Ann").mkdir()
    for name in ("Ann_0001.pgm", "Ann_0002.JPG", "Ann_0003.tiff"):
        (tmp_path / "Ann" / name).touch()
    assert pairs_of(tmp_path, "1\nAnn 1 2\nAnn 3 Bo 1\n") == [
        Pair("Ann/Ann_0001.pgm", "Ann/Ann_0002.JPG", True),
        Pair("Ann/Ann_0003.tiff", "Bo/Bo_0001.jpg", False),
    ]
    table = "path1,path2,same\nAnn/Ann_0001,Ann/Ann_0002.png,1\nAnn/Ann_0003,Bo,0\n"
    assert pairs_of(tmp_path, table, "pairs.csv") == [
        Pair("Ann/Ann_0001.pgm", "Ann/Ann_0002.JPG", True),
        Pair("Ann/Ann_0003.tiff", "Bo", False),
    ]
    assert pairs_of(tmp_path, "Ann/Ann_0001 1\nAnn/Ann_0002 1\n") == [
        Pair("Ann/Ann_0001.pgm", "Ann/Ann_0002.JPG", True)
    ]


def test_pairs_of_calfw_and_cplfw_have_two_lines(tmp_path):
    assert pairs_of(tmp_path, "a_1.jpg 3\na_2.jpg 3\na_1.jpg 0\nb_1.jpg 0\n") == [
        Pair("a_1.jpg", "a_2.jpg", True),
        Pair("a_1.jpg", "b_1.jpg", False),
    ]


def test_pairs_of_a_table_keep_their_order_and_paths(tmp_path):
    found = pairs_of(tmp_path, "path1,path2,same\nx/b 1.png,a.png,0\na.png,a.png,True\n", "pairs.csv")
    assert found == [Pair("x/b 1.png", "a.png", False), Pair("a.png", "a.png", True)]


PAIRS = [Pair("A/1.jpg", "A/2.jpg", True), Pair("A/1.jpg", "B/1.jpg", False)]


@pytest.mark.parametrize(
    "text",
    [
        "A/1.jpg A/2.jpg 1\nA/1.jpg B/1.jpg 0\n",
        "A/1.jpg  A/2.jpg\t1 \n\nA/1.jpg B/1.jpg 0",
        "A/1.jpg\tA/2.jpg\t1\nA/1.jpg\tB/1.jpg\t-1\n",
        "A/1.jpg,A/2.jpg,1\nA/1.jpg,B/1.jpg,0\n",
        "A/1.jpg; A/2.jpg; true\nA/1.jpg; B/1.jpg; FALSE\n",
        "A/1.jpg A/2.jpg same\nA/1.jpg B/1.jpg different\n",
        "A/1.jpg A/2.jpg 1.0\r\nA/1.jpg B/1.jpg 0.0\r\n",
        "A/1.jpg A/2.jpg 1\rA/1.jpg B/1.jpg 0\r",
        "\ufeffA/1.jpg A/2.jpg 1\nA/1.jpg B/1.jpg 0\n",
        "# the pairs of ours\n\nA/1.jpg A/2.jpg 1\n# impostors\nA/1.jpg B/1.jpg 0\n",
        "1 A/1.jpg A/2.jpg\n0 A/1.jpg B/1.jpg\n",
        "A/1.jpg A/2.jpg 1 7\nA/1.jpg B/1.jpg 0 8\n",
        "2\nA/1.jpg A/2.jpg 1\nA/1.jpg B/1.jpg 0\n",
        "1 1\nA/1.jpg A/2.jpg 1\nA/1.jpg B/1.jpg 0\n",
        "image1 image2 label\nA/1.jpg A/2.jpg 1\nA/1.jpg B/1.jpg 0\n",
        "label,first,second\n1,A/1.jpg,A/2.jpg\n0,A/1.jpg,B/1.jpg\n",
        "issame;left;right;fold\nyes;A/1.jpg;A/2.jpg;1\nno;A/1.jpg;B/1.jpg;1\n",
        '"A/1.jpg" "A/2.jpg" 1\n"A/1.jpg" B/1.jpg 0\n',
        "A\\1.jpg A\\2.jpg 1\nA\\1.jpg B\\1.jpg 0\n",
        "0,A/1.jpg,A/2.jpg,1\n1,A/1.jpg,B/1.jpg,0\n2,A/1.jpg,B/1.jpg,0\n",
        "1 A/1.jpg A/2.jpg 1\n9 A/1.jpg B/1.jpg 0\n",
        "A/1.jpg A/2.jpg 1 1\nA/1.jpg B/1.jpg 2 0\n",
        "A/1.jpg A/2.jpg 1 0.25\nA/1.jpg B/1.jpg 0 1\n",
        ",path1,path2,label\n0,A/1.jpg,A/2.jpg,1\n1,A/1.jpg,B/1.jpg,0\n",
        "id,fold,path1,path2,issame\n8,1,A/1.jpg,A/2.jpg,1\n9,1,A/1.jpg,B/1.jpg,0\n",
        "A/1.jpg A/2.jpg mated\nA/1.jpg B/1.jpg non-mated\n",
        "A/1.jpg A/2.jpg Same\nA/1.jpg B/1.jpg Diff\n",
        "A/1.jpg 7\nA/2.jpg 7\nA/1.jpg 0\nB/1.jpg 0\n",
        "A/1.jpg\t1\r\nA/2.jpg\t1\r\nA/1.jpg\t0\r\nB/1.jpg\t0\r\n",
    ],
)
def test_pairs_of_two_paths_and_a_label_are_read_in_every_common_form(tmp_path, text):
    (tmp_path / "pairs.txt").write_bytes(text.encode())
    assert list(dict.fromkeys(read_pairs(tmp_path / "pairs.txt", tmp_path))) == PAIRS


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("John Doe/1.jpg\tJane; Doe/2, b.jpg\t1\n", ("John Doe/1.jpg", "Jane; Doe/2, b.jpg")),
        ("John Doe/1.jpg,Jane; Doe/2.jpg,1\n", ("John Doe/1.jpg", "Jane; Doe/2.jpg")),
        ('"Doe, John/1.jpg","a b.jpg",1\n', ("Doe, John/1.jpg", "a b.jpg")),
        ('"John Doe/1.jpg" "a.jpg" 1\n', ("John Doe/1.jpg", "a.jpg")),
        ("Doe,John/1.jpg Doe;J/2.jpg 1\n", ("Doe,John/1.jpg", "Doe;J/2.jpg")),
        ("a\u00a0b.jpg \u3042.jpg 1\n", ("a\u00a0b.jpg", "\u3042.jpg")),
        ("a#1.jpg b.jpg 1\n", ("a#1.jpg", "b.jpg")),
        ("12 34 1\n", ("12", "34")),
        ("John Doe.jpg\t3\nJane Doe.jpg\t3\n", ("John Doe.jpg", "Jane Doe.jpg")),
    ],
)
def test_names_hold_what_does_not_separate_the_columns(tmp_path, text, names):
    assert pairs_of(tmp_path, text) == [Pair(*names, True)]


@pytest.mark.parametrize(
    "text",
    [
        "Ann 1 2\nAnn 1 Bo_Li 3\n",
        "1\nAnn\t1\t2\nAnn 1 Bo_Li 3\n",
        "1\r\nAnn\t1\t2\r\nAnn\t1\tBo_Li\t3\r\n",
        "2\nAnn 1 2\nAnn 1 Bo_Li 3\n",
        "name,imagenum1,imagenum2,\nAnn,1,2,\nAnn,1,Bo_Li,3\n",
        "name,imagenum1,name,imagenum2\nAnn,1,2\nAnn,1,Bo_Li,3\n",
        "# LFW\n1 1\nAnn 1 2\nAnn 1 Bo_Li 3\n",
    ],
)
def test_pairs_of_lfw_are_read_with_every_first_line_and_without(tmp_path, text):
    (tmp_path / "pairs.txt").write_bytes(text.encode())
    assert read_pairs(tmp_path / "pairs.txt", tmp_path) == [
        Pair("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", True),
        Pair("Ann/Ann_0001.jpg", "Bo_Li/Bo_Li_0003.jpg", False),
    ]


def test_image_1_of_a_person_twice_is_told_from_two_images_by_the_other_lines(tmp_path):
    assert pairs_of(tmp_path, "Ann 1 1\nAnn 1 Bo 1\n")[0] == Pair("Ann/Ann_0001.jpg", "Ann/Ann_0001.jpg", True)
    assert pairs_of(tmp_path, "10 1 1\n10 2 0\n")[0] == Pair("10", "1", True)


def test_names_that_are_not_utf_8_are_those_of_the_files(tmp_path):
    name = os.fsdecode(b"Jos\xe9.png")
    Image.new("RGB", (SIDE, SIDE)).save(os.fspath(tmp_path / "plain.png"))
    os.rename(tmp_path / "plain.png", tmp_path / name)
    (tmp_path / "pairs.txt").write_bytes(b"Jos\xe9.png Jos\xe9.png 1\n" * 2)
    pairs = read_pairs(tmp_path / "pairs.txt", tmp_path)
    assert pairs[0] == Pair(r"Jos\xe9.png", r"Jos\xe9.png", True)
    assert pack_pairs(pairs, tmp_path, tmp_path / "own.bin", image_aligner(None, SIDE, None), 0)[1] == []


def test_pairs_written_in_what_windows_calls_unicode_are_read(tmp_path):
    (tmp_path / "pairs.txt").write_text("A/1.jpg\tA/2.jpg\t1\nA/1.jpg\tB/1.jpg\t0\n", encoding="utf-16")
    assert read_pairs(tmp_path / "pairs.txt", tmp_path) == PAIRS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the first line is neither"),
        ("first second third\n", "the first line is neither"),
        ("path1,path2,same\n", "no pairs below"),
        ("path1,path2,same\na,b,maybe\n", "line 2: expected two paths and 1 or 0"),
        ("0 a.jpg b.jpg 1\n1 c.jpg d.jpg 0\n", "line 1: each of the columns 1 and 4 could be the label"),
        ("a.jpg b.jpg 1 0\nc.jpg d.jpg 0 1\n", "line 1: each of the columns 3 and 4 could be the label"),
        ("2 1\nAnn 1 2\n", "promises 4 pairs, there are 1"),
        ("1\nAnn 1 2\nAnn one Bo 2\n", "line 3: expected `name n m`"),
        ("a.jpg 1\nb.jpg 0\n", "line 1: the two lines of a pair have the labels 1, 0"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", "3 lines, and a pair has two"),
        ("a.jpg b.jpg 1\na.jpg b.jpg 2\n", r"pairs\.txt, line 2: expected two paths and 1 or 0"),
        ("a.jpg b.jpg 1\n\n# note\na.jpg 0\n", r"pairs\.txt, line 4: expected two paths and 1 or 0"),
        ("a,b,1\na,,0\n", "line 2: expected two paths and 1 or 0"),
        ("1\nAnn\n", "line 2: expected `name n m`"),
        ("Ann 1 2\nAnn 1\n", "line 2: expected `name n m`"),
        ("5\n", "no pairs below"),
        ("# nothing\n\n", "the first line is neither"),
        ("a.jpg b.jpg\n", "the first line is neither"),
        ("7" * 5000 + "\n", "the first line is neither"),
        ("a.jpg b.jpg 1\0\n", "no text: it holds zero bytes"),
        ('"' + "x" * 200_000 + " a 1\n", "line 1: the line cannot be cut into columns"),
        ("3\nAnn 1 2\nAnn 1 Bo 2\n", "promises 6 pairs, there are 2"),
    ],
)
def test_what_is_no_pairs_file_is_refused(tmp_path, text, sentence):
    with pytest.raises(BrownidError, match=sentence):
        pairs_of(tmp_path, text)


@pytest.fixture
def folder(tmp_path):
    """Four images of which c is damaged."""
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    for name, image in zip("abcd", images, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    return tmp_path, dict(zip("abcd", images, strict=True))


def test_a_pair_with_an_image_that_failed_is_left_out_and_the_image_listed(folder, caplog):
    root, images = folder
    pairs = [Pair("a.png", "b.png", True), Pair("c.png", "a.png", False), Pair("d.png", "a.png", False)]
    persons, failures = pack_pairs(pairs, root, root / "own.bin", image_aligner(None, SIDE, None), 0.25)
    assert persons.tolist() == [[0, 0], [2, 0]]
    assert [path for path, _ in failures] == ["c.png"] and "1 of 3 pairs are left out" in caplog.text
    encoded, same = read_bin(root / "own.bin")
    assert same.tolist() == [True, False]
    for image, name in zip(encoded, "abda", strict=True):
        np.testing.assert_array_equal(decoded(image), images[name])


def test_too_many_images_that_failed_stop_and_leave_nothing(folder):
    root, _ = folder
    pairs, align = [Pair("a.png", "c.png", True)], image_aligner(None, SIDE, None)
    with pytest.raises(BrownidError, match=r"1 of 2 images .*c\.png"):
        pack_pairs(pairs, root, root / "own.bin", align, 0.4)
    with pytest.raises(BrownidError, match=r"No pair .* two images that can be read"):
        pack_pairs(pairs, root, root / "own.bin", align, 0.5)
    assert not (root / "own.bin").exists()


@pytest.fixture
def converted(tmp_path):
    """A benchmark as AdaFace's scripts leave it, and its images as they were: every 8-bit value occurs."""
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(4, SIDE, SIDE, 3)
    images[..., 1:] = 255 - images[..., 1:]
    values = ((images[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255)) - np.float32(0.5)) / np.float32(0.5)
    (tmp_path / "lfw" / "memfile").mkdir(parents=True)
    values.astype(np.float32).tofile(tmp_path / "lfw" / "memfile" / "mem_file.dat")
    conf = {"shape": [4, 3, SIDE, SIDE], "dtype": "float32"}
    (tmp_path / "lfw" / "memfile" / "mem_file.dat.conf").write_text(json.dumps(conf))
    np.save(tmp_path / "lfw_list.npy", np.array([True, False]))
    return tmp_path / "lfw", images


def test_a_converted_benchmark_gives_back_its_images_exactly(converted, tmp_path):
    folder, images = converted
    assert pack_adaface(folder, tmp_path / "lfw.bin").tolist() == [[0, 0], [1, 2]]
    encoded, same = read_bin(tmp_path / "lfw.bin")
    np.testing.assert_array_equal([decoded(image) for image in encoded], images)
    assert same.tolist() == [True, False]


def npy_header(shape, dtype):
    """The beginning of an .npy file, with nothing behind it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    "labels", [[1, 0], [1.0, 0.0], np.array([True, False], object), [[1], [0]], [1, -1], [np.True_, 0]]
)
def test_labels_of_a_converted_benchmark_can_be_of_any_type(converted, labels):
    folder, _ = converted
    np.save(folder.parent / "lfw_list.npy", np.asarray(labels), allow_pickle=True)
    assert read_adaface(folder)[1].tolist() == [True, False]


def replace(path, content):
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("lfw/memfile/mem_file.dat", None, "is no converted benchmark"),
        ("lfw/memfile/mem_file.dat", b"short", "has 5 bytes, not the 3072"),
        ("lfw/memfile/mem_file.dat", b"\xff" * 3072, "image 0 has values outside"),
        ("lfw/memfile/mem_file.dat.conf", b"{}", "does not describe a memory map"),
        ("lfw/memfile/mem_file.dat.conf", b'{"shape": [4, 3, 8, 8], "dtype": "object"}', "not object"),
        ("lfw/memfile/mem_file.dat.conf", b'{"shape": [2, 3, 8, 8], "dtype": "float32"}', "not the 1536"),
        ("lfw/memfile/mem_file.dat.conf", b"[" * 9000, "nested too deeply"),
        ("lfw/memfile/mem_file.dat.conf", b'{"shape": [4, 3, 8, true], "dtype": "float32"}', "expected the shape"),
        ("lfw/memfile/mem_file.dat.conf", b'{"shape": [4, 3, 8, 8], "dtype": "\\u001b"}', "not of another type"),
        ("lfw_list.npy", None, "is missing"),
        ("lfw_list.npy", npy_header((10**15,), "|b1"), "promises another number of bytes"),
        ("lfw_list.npy", npy_header((2**62, 4), "<i8"), "promises another number of bytes"),
        ("lfw_list.npy", npy_header((-1,), "|b1"), "promises another number of bytes"),
        (
            "lfw_list.npy",
            npy_header((2,), "|O") + b"cos\nsystem\n(S'true'\ntR.",
            r"no plain array of labels .* names os\.system",
        ),
        (
            "lfw_list.npy",
            npy_header((2,), "<f4") + np.array([0.5, 1], "f4").tobytes(),
            "one true or false for each pair",
        ),
        ("lfw_list.npy", npy_header((2,), "<U1") + b"1\0\0\0" * 2, "one true or false for each pair"),
        ("lfw_list.npy", b"no array", "no plain array"),
        ("lfw_list.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (10**12,)}"), "no plain array"),
        ("lfw_list.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (1000000000000,)}"), "no plain array"),
        ("lfw_list.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (-1,)}"), "no plain array"),
        ("lfw_list.npy", npy("(" * 3000), "no plain array"),
        ("lfw_list.npy", npy("{'a': 1}" + " " * 20_000), "no plain array"),
        ("lfw_list.npy", b"PK\x05\x06" + bytes(18), "no plain array"),  # an archive of arrays, of none
    ],
)
def test_a_damaged_benchmark_names_the_file(converted, name, content, sentence):
    folder, _ = converted
    replace(folder.parent / name, content)
    with pytest.raises(BrownidError, match=sentence):
        list(read_adaface(folder)[0])


def test_labels_that_would_run_code_are_refused(converted):
    folder, _ = converted
    np.save(folder.parent / "lfw_list.npy", np.array([print, print], dtype=object), allow_pickle=True)
    with pytest.raises(BrownidError, match="no plain array of labels"):
        read_adaface(folder)


def test_labels_of_another_number_are_refused(converted):
    folder, _ = converted
    np.save(folder.parent / "lfw_list.npy", np.ones(3, bool))
    with pytest.raises(BrownidError, match="4 images and 3 labels"):
        read_adaface(folder)
