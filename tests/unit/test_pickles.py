"""The restricted pickle reader and torch files: values are read as they were written, hostile files are refused."""

import collections
import datetime
import io
import pathlib
import pickle
import struct
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch

from brownid.weights.pickled_arrays import NAMES, Array
from brownid.weights.torch_files import load_torch
from brownid.weights.unpickler import PickleReader, Placeholder, RefusedError, check_needed, short_reason

PLAIN = {
    "numbers": [0, 1, -1, 255, 256, 65_536, -(2**31), 2**31, 2**900, -(2**70), 0.5, float("inf"), True, False, None],
    "texts": ["", "a", "ü" * 300, "\ud800", "line\nbreak\\"],
    "bytes": [b"", b"\x00\xff'\n", b"x" * 300, bytearray(b"\x80ab")],
    "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], {}, {1: {(1, "a"): 2}}, {1, 2}, frozenset({3})],
    "ordered": collections.OrderedDict(a=1),
}


class ArrayReader(PickleReader):
    """Reads numpy's arrays too."""

    def __init__(self, content: bytes):
        super().__init__(content)
        self.names |= NAMES


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol_are_read_as_python_reads_them(protocol):
    assert PickleReader(pickle.dumps(PLAIN, protocol)).read() == PLAIN


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.arange(6, dtype=">i4"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4).transpose(1, 2, 0),
        np.arange(12)[::2],
        np.array([True, False]),
        np.zeros((0, 3)),
        np.array(5),
        np.array([b"ab", b"c"]),
        np.array([b"a", None, 3], dtype=object),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_numpy_arrays_are_read_as_numpy_reads_them(array, protocol):
    found = ArrayReader(pickle.dumps(array, protocol)).read()
    assert isinstance(found, Array) and found.size == array.size
    assert found.values.dtype == array.dtype
    np.testing.assert_array_equal(found.values, array)


def test_lists_that_hold_themselves_are_read():
    value: list = [1]
    value.append(value)
    found = PickleReader(pickle.dumps(value)).read()
    assert found[1] is found
    check_needed(found)


def test_names_of_a_lenient_reader_hold_nothing_and_are_refused_where_they_are_needed():
    class Lenient(PickleReader):
        lenient = True

    found = Lenient(pickle.dumps({"a": Namespace(secret="text"), "b": 1})).read()
    assert isinstance(found["a"], Placeholder) and found["b"] == 1
    check_needed(found["b"])
    with pytest.raises(RefusedError, match=r"it names argparse\.Namespace, and only plain values are read"):
        check_needed([(found,)])


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"\x8a\xff" + b"\x7f" * 255 + b".", "an integer of more than 1024 bits"),
        (b"\x8b" + struct.pack("<i", 10**6) + b"\x01" * 10**6 + b".", "an integer of more than 1024 bits"),
        (b"}]Ns.", "it has a list as the key"),
        (b"}}Ns.", "it has a dict as the key"),
        (b"(]\x91.", "it has a list as the key of a dictionary or member of a set"),
        (b"K\x01K\x02\x93.", "by values that are no text"),
        (b"K\x01)R.", "calls something that is no function"),
        (b"cbuiltins\nset\nK\x01R.", "calls something that is no function"),
        (b"cbuiltins\nset\nK\x01\x85R.", "a set of something that is no list"),
        (b"ccollections\nOrderedDict\n]K\x01a\x85R.", "no list of pairs"),
        (b"cbuiltins\neval\n.", r"it names builtins\.eval,"),
        (b"c__builtin__\neval\n.", r"it names builtins\.eval,"),
        (b"(ios\nsystem\n.", r"it names os\.system,"),
        (b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"\x8c\x01b\x93.", "by a text that is no name,"),
        (b"\x8c\x03a\x1b[\x8c\x01b\x93.", "by a text that is no name,"),
        (b"]}b.", "it changes a list"),
        (b"cbuiltins\nset\n}b.", "it changes the function or class that it names"),
        (b"}Na.", "appends to something that is no list"),
        (b"]NNs.", "sets items of something that is no dictionary"),
        (b"](N\x90.", "adds members to something that is no set"),
        (b"\x97.", "a buffer outside the file"),
        (b"\x82\x01.", "a class by a number"),
        (b"K\x01Q.", "an object outside the file"),
        (b"Pa\n.", "an object outside the file"),
        (b"Nr\xff\xff\xff\x7f.", "more memory"),
        (b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0zlbtR.", "something else than a latin-1"),
    ],
)
def test_what_no_data_needs_is_refused_with_the_reason(program, reason):
    with pytest.raises(RefusedError, match=reason) as caught:
        PickleReader(b"\x80\x04" + program).read()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "program",
    [
        *(
            b"",
            b".",
            b"0.",
            b"1.",
            b"t.",
            b"a.",
            b"s.",
            b"R.",
            b"\x85.",
            b"K\x01\x86.",
            b"2.",
            b"h\x01.",
            b"]a.",
            b"(a.",
        ),
        *(b"\x8e" + b"\xff" * 8 + b".", b"\x8d" + b"\xff" * 8 + b".", b"\x96" + b"\x7f" * 8 + b".", b"\xff."),
        *(b"T\xff\xff\xff\x7f.", b"Sabc\n.", b"S'\n.", b"Ix\n.", b"L" + b"9" * 5000 + b"L\n.", b"}(Nu.", b"K"),
    ],
)
def test_damaged_pickles_of_every_kind_raise_before_anything_is_made_of_them(program):
    with pytest.raises((ValueError, IndexError, KeyError, TypeError)) as caught:
        PickleReader(b"\x80\x04" + program).read()
    assert len(short_reason(caught.value)) < 300


def test_frames_of_any_declared_size_do_not_matter():
    assert PickleReader(b"\x80\x04\x95" + b"\xff" * 8 + b"K\x05.").read() == 5


def test_keys_whose_hashes_the_file_chooses_are_few(monkeypatch):
    monkeypatch.setattr("brownid.weights.unpickler.MOST_CHOSEN_HASHES", 20)
    content = {(2**61 - 1) * number: None for number in range(2, 23)}  # all of one hash
    with pytest.raises(RefusedError, match="more than 20 keys"):
        PickleReader(pickle.dumps(content)).read()
    assert len(PickleReader(pickle.dumps(dict.fromkeys(range(100)))).read()) == 100


def test_values_that_are_copied_are_counted(monkeypatch):
    monkeypatch.setattr("brownid.weights.unpickler.MOST_VALUES", 5000)
    numbers = b"](" + b"K\x01" * 1000 + b"eq\x00"
    with pytest.raises(RefusedError, match="more than 5000 values"):
        PickleReader(
            b"\x80\x02" + numbers + b"cbuiltins\nset\nq\x01h\x00\x85R0" + b"h\x01h\x00\x85R0" * 10 + b"N."
        ).read()


def test_a_text_is_encoded_once_however_often_it_is_named():
    text = b"X" + struct.pack("<I", 1000) + b"a" * 1000 + b"q\x00"
    encode = b"c_codecs\nencode\nh\x00X\x06\0\0\0latin1\x86R"
    first, second = PickleReader(b"\x80\x02(" + text + encode + encode + b"t.").read()[1:]
    assert first is second and first == b"a" * 1000


@pytest.mark.parametrize(
    "state",
    [
        (1, (2**62, 4), b""),
        (1, (-1,), b""),
        (1, (0,) * 100, b""),
        (1, (2,), b"\0"),
        (1, [2], b"\0\0"),
        (1, (2,), [1, 2]),
    ],
)
def test_arrays_whose_shape_and_content_do_not_fit_are_refused_when_they_are_needed(state):
    version, shape, raw = state
    content = pickle.dumps((version, shape, "TYPE", False, raw), 2)
    number_type = b"cnumpy\ndtype\nX\x02\0\0\0u1\x85R"
    content = content[2:-1].replace(b"X\x04\0\0\0TYPEq", number_type + b"q")
    found = ArrayReader(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R" + content + b"b.").read()
    with pytest.raises(RefusedError, match="numpy array"):
        _ = found.values


# -- torch files ------------------------------------------------------------------------------------------------------


def saved(content: object, zipped: bool) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_type_and_layout_are_read_as_torch_reads_them(zipped):
    flat = torch.arange(24.0)
    whole = {str(kind): torch.ones(3).to(kind) for kind in (torch.half, torch.bfloat16, torch.int8, torch.bool)}
    content = {
        **whole,
        **{"double": flat.double(), "long": flat.long(), "complex": flat.to(torch.complex64), "empty": flat[:0]},
        **{
            "view": flat.view(4, 6).t()[1:],
            "other view": flat[3:5],
            "number": torch.tensor(2),
            "expanded": flat[:1].expand(7),
        },
        **{"parameter": torch.nn.Parameter(flat)},
        **({"uint16": torch.ones(2, dtype=torch.uint16)} if zipped else {}),  # torch cannot read it in the older format
        **{"device": torch.device("cpu"), "type": torch.float16, "size": flat.view(2, 12).shape, "list": [flat]},
    }
    found, expected = load_torch(saved(content, zipped)), torch.load(saved(content, zipped))
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name
    assert found["view"].stride() == expected["view"].stride()
    assert found["other view"].data_ptr() == found["view"].data_ptr() + 8  # 3 numbers into the storage, not 1
    assert (found["device"], found["type"], found["size"]) == ("cpu", torch.float16, (2, 12))


def test_numbers_written_on_a_machine_of_the_other_byte_order_are_swapped():
    archive = rewritten(
        saved({"a": torch.arange(3.0)}, True), {"byteorder": b"big", "data/0": np.arange(3.0, dtype=">f4").tobytes()}
    )
    assert load_torch(archive)["a"].tolist() == [0, 1, 2]


def rewritten(file: io.BytesIO, changes: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    copy = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(copy, "w", compression) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, changes.get(entry.filename.partition("/")[2], source.read(entry)))
    return io.BytesIO(copy.getvalue())


def test_a_changed_byte_among_the_numbers_is_noticed():
    data = saved({"a": torch.ones(100)}, True).getvalue()
    place = data.index(torch.ones(2).numpy().tobytes())
    with pytest.raises(zipfile.BadZipFile):
        load_torch(io.BytesIO(data[:place] + b"\x01" + data[place + 1 :]))


def test_files_that_torch_wrote_without_checksums_are_read():
    torch.serialization.set_crc32_options(False)
    try:
        file = saved({"a": torch.arange(3)}, True)
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_torch(file)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("zipped", [True, False])
def test_whatever_stands_besides_the_tensors_of_a_checkpoint_is_left_out(zipped):
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    optimizer.state[network.weight]["momentum_buffer"] = torch.ones(2, 2)
    beside = {
        **{"network": network, "optimizer": optimizer, "schedule": optimizer.state_dict(), "types": {torch.half: 1}},
        **{
            "path": pathlib.PosixPath("a"),
            "settings": Namespace(a=1),
            "rate": np.float64(0.5),
            "names": np.array(["a"]),
        },
        **{"counts": collections.Counter("aa"), "days": {(datetime.date(2020, 1, 1),) * 200: {1j, range(3)}}},
        **{"function": torch.relu, "random": np.random.default_rng(0), "sparse": torch.ones(1).to_sparse()},
    }
    found = load_torch(saved({"weights": {"a": torch.ones(2)}, **beside}, zipped))
    assert found["weights"]["a"].tolist() == [1, 1] and found["rate"] == 0.5
    check_needed([found["weights"], found["schedule"], found["types"]])
    for name in ("network", "optimizer", "path", "settings", "days", "function", "sparse"):
        with pytest.raises(RefusedError, match=r"it names|a key of more than 100 parts"):
            check_needed(found[name])


def test_compressed_entries_which_can_grow_without_bound_are_refused():
    with pytest.raises(RefusedError, match="compressed"):
        load_torch(rewritten(saved({"a": torch.zeros(10**6)}, True), {}, zipfile.ZIP_DEFLATED))


def tensor_program(shape: tuple, stride: tuple, offset: int = 0, count: int = 2, times: int = 1) -> bytes:
    """The data.pkl of a list of tensors of the storage 0."""
    key = pickle.dumps(("storage", "TYPE", "0", "cpu", count), 2)[2:-1].replace(
        b"X\x04\0\0\0TYPE", b"ctorch\nFloatStorage\n"
    )
    numbers = b"".join(pickle.dumps(part, 2)[2:-1] for part in (offset, shape, stride, False, {}))
    one = b"ctorch._utils\n_rebuild_tensor_v2\n(" + key + b"Q" + numbers + b"tR"
    return b"\x80\x02](" + one * times + b"e."


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (10**12,), "stride": (0,)},
        {"shape": (10**6, 10**6, 10**6, 10**6), "stride": (0, 0, 0, 0)},
        {"shape": (2**62, 2**62), "stride": (0, 0)},
        {"shape": (3,), "stride": (1,)},
        {"shape": (2,), "stride": (1,), "offset": 1},
        {"shape": (2,), "stride": (2**62,)},
        {"shape": (2,), "stride": (-1,), "offset": 1},
        {"shape": (-1,), "stride": (1,)},
        {"shape": (2,), "stride": (1, 1)},
        {"shape": (1,) * 100, "stride": (1,) * 100},
        {"shape": (2,), "stride": (1,), "offset": -1},
        {"shape": (2,), "stride": (1,), "offset": 2**62},
        {"shape": (2,), "stride": (1,), "count": 10**12},
        {"shape": (2,), "stride": (1,), "count": -1},
        {"shape": (500_000,), "stride": (0,), "times": 1000},
    ],
    ids=str,
)
def test_tensors_that_reach_outside_their_numbers_or_grow_are_refused(arguments):
    file = rewritten(saved([torch.ones(2)], True), {"data.pkl": tensor_program(**arguments)})
    with pytest.raises((RefusedError, ValueError)):
        check_needed(load_torch(file))


@pytest.mark.parametrize("count", [10**12, 3, 1])
def test_storages_of_the_older_format_that_do_not_fit_the_file_are_refused(count):
    data = saved(torch.ones(2), False).getvalue()
    written = b"K\x02Nt"
    assert data.count(written) == 1
    changed = data.replace(written, pickle.dumps(count, 2)[2:-1] + b"Nt")
    with pytest.raises((RefusedError, EOFError)):
        check_needed(load_torch(io.BytesIO(changed)))


def test_entries_that_lie_on_one_another_are_refused():
    """A ZIP directory can name the same bytes any number of times."""
    copy = io.BytesIO()
    with zipfile.ZipFile(saved({"a": torch.ones(50_000)}, True)) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
        target.filelist += [target.getinfo("archive/data/0")] * 20
    with pytest.raises(RefusedError, match="more memory"):
        load_torch(io.BytesIO(copy.getvalue()))
