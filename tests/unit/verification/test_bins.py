"""Benchmark files: insightface's format of every age is read, and nothing in a file is ever executed."""

import pickle
import pickletools
import struct

import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.verification.bins import read_bin, write_bin

IMAGES = [b"\x89PNG first", b"\xff\xd8\xff\xe0 second", b"third", b"fourth \x00\x80"]
SAME = [True, False]


def written(tmp_path, data):
    path = tmp_path / "lfw.bin"
    path.write_bytes(data)
    return path


def python2_pickle(images, labels):
    """What Python 2's cPickle wrote at protocol 2: byte strings as SHORT_BINSTRING (U)."""
    strings = b"".join(b"U" + bytes([len(image)]) + image for image in images)
    flags = b"".join(b"\x88" if label else b"\x89" for label in labels)
    return b"\x80\x02](" + strings + b"e](" + flags + b"e\x86."


def test_what_is_written_is_read_back_and_is_insightfaces_format(tmp_path):
    write_bin(tmp_path / "a.bin", IMAGES, SAME)
    images, same = read_bin(tmp_path / "a.bin")
    assert images == IMAGES
    assert same.dtype == bool and same.tolist() == SAME
    assert pickle.loads((tmp_path / "a.bin").read_bytes(), encoding="bytes") == (IMAGES, SAME)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_files_of_every_pickle_protocol_are_read(tmp_path, protocol):
    images, same = read_bin(written(tmp_path, pickle.dumps((IMAGES, SAME), protocol=protocol)))
    assert images == IMAGES and same.tolist() == SAME


def test_files_of_python_2_are_read(tmp_path):
    images, same = read_bin(written(tmp_path, python2_pickle(IMAGES, SAME)))
    assert images == IMAGES and same.tolist() == SAME


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_images_kept_as_numpy_arrays_are_read(tmp_path, protocol, core):
    arrays = [np.frombuffer(image, np.uint8).copy() for image in IMAGES]
    data = pickle.dumps((arrays, np.array(SAME)), protocol=protocol)
    if core == b"numpy.core" and protocol < 4:
        data = data.replace(b"numpy._core", b"numpy.core")
    images, same = read_bin(written(tmp_path, data))
    assert images == IMAGES and same.tolist() == SAME


def test_labels_kept_as_numpy_bools_or_as_ones_and_zeros_are_read(tmp_path):
    for labels in ([np.bool_(True), np.bool_(False)], [1, 0], (True, False)):
        assert read_bin(written(tmp_path, pickle.dumps((IMAGES, labels))))[1].tolist() == SAME


class Bomb:
    """Would create a file on loading."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["image", "label", "whole"])
def test_code_in_a_file_is_refused_by_name_and_not_executed(tmp_path, place):
    bomb = Bomb(tmp_path / "executed")
    content = {"image": ([*IMAGES, bomb], SAME), "label": (IMAGES, [bomb]), "whole": bomb}[place]
    with pytest.raises(BrownidError, match=r"lfw\.bin was refused, nothing in it was executed: it names .*open"):
        read_bin(written(tmp_path, pickle.dumps(content)))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # the classic
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",  # STACK_GLOBAL
        b"(S'1'\nibuiltins\neval\n.",  # INST
        b"cnumpy\nload\n(S'x'\ntR.",  # a numpy name that is not one of ours
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",  # a path through a known name
        b"Psomewhere\n.",  # persistent reference
        b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",  # another codec
        b"c_codecs\nencode\n}S'a'\nI1\nsb.",  # a state for a function
    ],
)
def test_every_way_of_naming_code_is_refused(tmp_path, program):
    with pytest.raises(BrownidError, match=r"lfw\.bin was refused"):
        read_bin(written(tmp_path, program))


def test_a_numpy_array_whose_shape_and_content_disagree_is_refused(tmp_path):
    data = pickle.dumps(([np.arange(5, dtype=np.uint8)], []), protocol=2)
    changed = data.replace(b"K\x05\x85", b"K\x09\x85", 1)
    assert changed != data
    with pytest.raises(BrownidError, match="shape and content do not fit"):
        read_bin(written(tmp_path, changed))


@pytest.mark.parametrize("place", [0, 1])
def test_rows_of_nothing_are_refused_however_many_are_declared(tmp_path, place):
    data = pickle.dumps([[], []][:place] + [np.empty((7, 0), np.uint8)] + [[]] * (1 - place), protocol=2)
    changed = data.replace(b"K\x07K\x00\x86", b"\x8a\x05\0\0\0\0\x10K\x00\x86", 1)  # 2**36 rows
    assert changed != data
    with pytest.raises(BrownidError, match="does not hold one list of images and one of labels"):
        read_bin(written(tmp_path, changed))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_cut_anywhere_is_refused_with_its_name(tmp_path, protocol):
    data = pickle.dumps((IMAGES, SAME), protocol=protocol)
    for length in range(len(data)):
        with pytest.raises(BrownidError, match=r"lfw\.bin"):
            read_bin(written(tmp_path, data[:length]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        b"\x80\x63.",
        struct.pack("<BBBQ", 0x80, 4, 0x8E, 1 << 60),
        b"\x89PNG\r\n",
        b"N.",
        b"h\x05.",
    ],
)
def test_what_is_no_pickle_is_refused_with_its_name(tmp_path, data):
    with pytest.raises(BrownidError, match=r"lfw\.bin"):
        read_bin(written(tmp_path, data))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((IMAGES[:3], [True]), r"odd number of images \(3\)"),
        ((IMAGES, [True]), r"4 images \(2 pairs\) and 1 labels"),
        (([], [True]), r"0 images \(0 pairs\) and 1 labels"),
        ((IMAGES, [True, 2]), "not all true or false"),
        ((IMAGES, [True, b"x"]), "not all true or false"),
        (([b"x", b""], [True]), "image 1 is not an encoded image"),
        (([b"x", 5], [True]), "image 1 is not an encoded image"),
        (([b"x", np.zeros((2, 2, 3), np.uint8)], [True]), "image 1 is not an encoded image"),
        ([IMAGES], "one list of images and one of labels"),
        ({"images": IMAGES}, "one list of images and one of labels"),
    ],
)
def test_content_of_another_shape_is_refused_with_the_reason(tmp_path, content, message):
    with pytest.raises(BrownidError, match=r"lfw\.bin.*" + message):
        read_bin(written(tmp_path, pickle.dumps(content)))


def test_a_file_that_asks_for_gigabytes_is_refused_before_they_are_given(tmp_path):
    with pytest.raises(BrownidError, match=r"lfw\.bin was refused.* more memory"):
        read_bin(written(tmp_path, b"\x80\x02Nr\xff\xff\xff\x7f."))


def test_bytes_changed_at_random_are_read_or_refused_and_nothing_else(tmp_path):
    random = np.random.default_rng(0)
    arrays = [np.frombuffer(image, np.uint8) for image in IMAGES]
    for data in (pickle.dumps((IMAGES, SAME), protocol=2), pickle.dumps((arrays, SAME), protocol=4)):
        for _ in range(300):
            changed = np.frombuffer(data, np.uint8).copy()
            changed[random.integers(0, len(data), 2)] = random.integers(0, 256, 2)
            try:
                images, same = read_bin(written(tmp_path, changed.tobytes()))
            except BrownidError as error:
                assert "lfw.bin" in str(error)
            else:
                assert len(images) == 2 * len(same)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(BrownidError, match=r"absent\.bin cannot be read"):
        read_bin(tmp_path / "absent.bin")


def test_labels_that_do_not_fit_are_not_written(tmp_path):
    with pytest.raises(BrownidError, match="4 images and 3 labels"):
        write_bin(tmp_path / "a.bin", IMAGES, [True] * 3)
    assert list(tmp_path.iterdir()) == []


def test_the_python_2_sample_of_these_tests_is_a_python_2_pickle():
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(python2_pickle(IMAGES, SAME))}
    assert "SHORT_BINSTRING" in opcodes


def test_tuples_too_large_to_hash_are_refused(tmp_path):
    with pytest.raises(BrownidError, match=r"lfw\.bin was refused.* a key of more than 100 parts"):
        read_bin(written(tmp_path, b"\x80\x02})" + b"\x85" * 5000 + b"Ns."))
