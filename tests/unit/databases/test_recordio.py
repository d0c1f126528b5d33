"""Record files: what MXNet writes is read, whatever its index says; damage is named with its place."""

import csv
import io
import struct

import numpy as np
import pytest
from PIL import Image

from align_database import align_database
from brownid.databases.index import DatabaseIndex
from brownid.databases.kinds import index_images
from brownid.databases.reading import image_exists, load_image
from brownid.databases.recordio import MAGIC, index_records, read_image, record_samples, scan
from brownid.runtime.errors import BrownidError
from brownid.samples.images import ImageShards

SIDE = 8
LABELS = [0, 0, 1, 2, 2]


def pixels(number):
    return np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


def png(number):
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, "PNG")
    return file.getvalue()


def packed(label, number=0, image=b""):
    """The payload of a record, as mxnet.recordio.pack makes it."""
    if isinstance(label, int | float):
        return struct.pack("IfQQ", 0, label, number, 0) + image
    return struct.pack("IfQQ", len(label), 0, number, 0) + np.array(label, np.float32).tobytes() + image


def framed(payload):
    """A record, as dmlc's writer makes it: cut where the payload has the magic number at a multiple of four."""
    magic = struct.pack("<I", MAGIC)
    places = [place for place in range(0, len(payload) - 3, 4) if payload[place : place + 4] == magic]
    starts, ends = [0, *(place + 4 for place in places)], [*places, len(payload)]
    parts = [payload[start:end] for start, end in zip(starts, ends, strict=True)]
    kinds = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        magic + struct.pack("<I", kind << 29 | len(part)) + part + bytes(-len(part) % 4)
        for kind, part in zip(kinds, parts, strict=True)
    )


def write(folder, payloads, index=True, name="train"):
    """train.rec and train.idx of these payloads; returns the bytes at which the records begin."""
    folder.mkdir(exist_ok=True)
    records = [framed(payload) for payload in payloads]
    places = [sum(map(len, records[:number])) for number in range(len(records))]
    (folder / f"{name}.rec").write_bytes(b"".join(records))
    if index:
        lines = [f"{number}\t{place}\n" for number, place in enumerate(places)]
        (folder / f"{name}.idx").write_text("".join(lines))
    return places


def insightface(labels=LABELS):
    """Payloads as insightface's face2rec2 writes them: a header, the images, and a record per identity."""
    images = [packed(label, number, png(number)) for number, label in enumerate(labels, 1)]
    end = len(images) + 1
    identities = [packed([1, 2], end + number) for number in range(3)]
    return [packed([end, end + 3]), *images, *identities]


@pytest.fixture
def casia(tmp_path):
    write(tmp_path / "casia", insightface())
    (tmp_path / "casia" / "property").write_text("3,8,8")
    return tmp_path / "casia"


def test_the_images_of_a_record_file_are_indexed_and_packed(casia, tmp_path):
    settings = {"kind": "recordio", "root": str(casia)}
    index_images(settings, {}, tmp_path / "index")
    with DatabaseIndex.open(tmp_path / "index") as index:
        samples = index.samples("train")
    assert [sample.identity for sample in samples] == LABELS
    assert [sample.key for sample in samples] == [f"{number:08}" for number in range(1, 6)]
    settings |= {"namespace": "casia", "image_size": SIDE, "alignment": None, "maximum_failed_share": 0.3}
    paths = {"images": tmp_path / "images", "failures": tmp_path / "failures.csv"}
    for shard in (1, 2):
        align_database(settings, index=tmp_path / "index", shard=shard, shards=2, **paths)
        shards = ImageShards([tmp_path / "images"])
        numbers = [int(label) for label in shards.labels]
        np.testing.assert_array_equal(shards.decode(range(len(shards))), [pixels(number) for number in numbers])
    assert numbers == [3, 4, 5] and shards.identities.tolist() == LABELS[2:]


def test_a_damaged_or_empty_image_is_a_failure_like_any_other(tmp_path):
    payloads = insightface()
    payloads[2] = packed(0, 2, png(2)[:50])
    payloads[3] = packed(1, 3)
    places = write(tmp_path / "casia", payloads)
    index_records(tmp_path / "casia", tmp_path / "index")
    settings = {"namespace": "n", "root": str(tmp_path / "casia"), "image_size": SIDE, "alignment": None}
    paths = {"images": tmp_path / "images", "failures": tmp_path / "failures.csv"}
    align_database(settings | {"maximum_failed_share": 0.5}, index=tmp_path / "index", shard=1, shards=1, **paths)
    failures = list(csv.reader(paths["failures"].open()))[1:]
    assert [path for path, _ in failures] == [f"train.rec#{places[2]}", f"train.rec#{places[3]}"]
    assert failures[0][1].startswith("not a readable image") and failures[1][1] == "the record holds no image"
    assert len(ImageShards([paths["images"]])) == 3


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "is missing"),
        (b"", "is damaged"),
        (b"\0" * 40, "is damaged"),
        (b"0\t0\n1\t", "is damaged"),
        (b"one\ttwo\n", "is damaged"),
        ("short", "is damaged"),
        ("shifted", "is damaged"),
        ("doubled", "is damaged"),
    ],
)
def test_an_index_that_does_not_fit_is_replaced_by_reading_the_records(casia, tmp_path, index, said, caplog):
    lines = (casia / "train.idx").read_text().splitlines()
    forms = {
        "short": "\n".join(lines[:4]),
        "shifted": "\n".join(f"{number}\t{int(line.split()[1]) + 4}" for number, line in enumerate(lines)),
        "doubled": "\n".join(f"1\t{line.split()[1]}" for line in lines),
    }
    if index is None:
        (casia / "train.idx").unlink()
    else:
        (casia / "train.idx").write_bytes(forms[index].encode() if isinstance(index, str) else index)
    with caplog.at_level("INFO"):
        samples = list(record_samples(casia))
    assert [(sample.key, sample.identity) for sample in samples] == [
        (f"{number:08}", label) for number, label in enumerate(LABELS, 1)
    ]
    assert f"{casia / 'train.idx'} {said}" in caplog.text


def test_an_index_in_another_order_numbers_the_records(casia):
    lines = (casia / "train.idx").read_text().splitlines()
    renumbered = [f"{100 - number} {line.split()[1]}\n" for number, line in enumerate(lines)]
    (casia / "train.idx").write_text("".join(reversed(renumbered)))
    assert [sample.key for sample in record_samples(casia)] == [f"{100 - number:08}" for number in range(1, 6)]


def test_the_first_of_several_labels_is_the_identity(tmp_path):
    payloads = [packed([7, 0.25, -3.5], 0, png(0)), packed([8], 1, png(1))]
    write(tmp_path / "some", payloads)
    assert [sample.identity for sample in record_samples(tmp_path / "some")] == [7, 8]
    found = [load_image(tmp_path / "some" / sample.path) for sample in record_samples(tmp_path / "some")]
    np.testing.assert_array_equal(found, [pixels(0), pixels(1)])


@pytest.mark.parametrize(
    "image",
    [
        struct.pack("<I", MAGIC),
        b"abcd" + struct.pack("<I", MAGIC) + b"efgh",
        struct.pack("<I", MAGIC) * 3 + b"x",
        b"ab" + struct.pack("<I", MAGIC) + b"cd",
        b"abcd" * 5 + struct.pack("<I", MAGIC),
    ],
)
@pytest.mark.parametrize("label", [3, [3, 4], [3, 4, 5]])
def test_records_in_several_parts_are_joined(tmp_path, image, label):
    places = write(tmp_path / "parts", [packed(label, 0, image), packed(5, 1, b"next")])
    records = list(scan(tmp_path / "parts" / "train.rec"))
    assert [(record.byte, record.label) for record in records] == list(zip(places, (3, 5), strict=True))
    assert [read_image(tmp_path / "parts" / "train.rec", place) for place in places] == [image, b"next"]


def test_a_label_that_is_cut_by_the_magic_number_is_read(tmp_path):
    label = struct.unpack("<f", struct.pack("<I", MAGIC))[0]
    write(tmp_path / "parts", [packed([label, 1], 0, b"image"), packed(5, 1, b"next")])
    assert [record.label for record in scan(tmp_path / "parts" / "train.rec")] == [label, 5]


@pytest.mark.parametrize("left", [3, 7, 8, 20, 50])
def test_a_file_that_is_cut_off_is_named_with_the_place(casia, left):
    places = write(casia, insightface())
    path = casia / "train.rec"
    path.write_bytes(path.read_bytes()[: places[3] + left])
    sentence = (
        rf"{path}: the file is cut off: it ends at byte {places[3] + left}, within the record at byte {places[3]}"
    )
    with pytest.raises(BrownidError, match=sentence):
        list(record_samples(casia))


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (b"nothing like a record", "no record begins at byte {byte}"),
        (struct.pack("<II", MAGIC, 2 << 29 | 24) + bytes(24), "the record at byte {byte} has no regular parts"),
        (struct.pack("<II", MAGIC, 1 << 29 | 24) + bytes(24), "cut off"),
        (struct.pack("<II", MAGIC, 7 << 29 | 24) + bytes(24), "no regular parts"),
        (struct.pack("<II", MAGIC, 8) + bytes(8), "record at byte {byte} is too short for a label"),
        (struct.pack("<II", MAGIC, 24) + struct.pack("<IfQQ", 1 << 31, 0, 0, 0), "too short for 2147483648 labels"),
        (framed(packed(1.5, 0, b"image")), "has the label 1.5; the label of an image must be a whole number"),
        (framed(packed(-1, 0, b"image")), "has the label -1"),
        (framed(packed(float("nan"), 0, b"image")), "has the label nan"),
        (framed(packed(1e30, 0, b"image")), "has the label 1e\\+30"),
    ],
)
def test_damage_is_named_with_its_place(casia, tmp_path, record, sentence):
    path = casia / "train.rec"
    byte = path.stat().st_size
    path.write_bytes(path.read_bytes() + record)
    with pytest.raises(BrownidError, match=sentence.format(byte=byte)):
        index_records(casia, tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_file_without_images_is_refused(tmp_path):
    write(tmp_path / "empty", [packed([1, 1])])
    with pytest.raises(BrownidError, match=r"train\.rec: there is no image"):
        list(record_samples(tmp_path / "empty"))
    (tmp_path / "empty" / "train.rec").write_bytes(b"")
    with pytest.raises(BrownidError, match=r"train\.rec: there is no image"):
        list(record_samples(tmp_path / "empty"))


def test_what_header_and_property_promise_is_compared(casia, tmp_path, caplog):
    write(casia, [packed([9, 12]), *insightface()[1:]])
    (casia / "property").write_text("10572,112,112\n")
    assert index_records(casia, tmp_path / "index") == 5
    assert "record 0 says 8 images, there are 5" in caplog.text
    assert "'10572,112,112', which should begin with the number of identities, 3" in caplog.text


def test_the_record_file_is_looked_for(casia, tmp_path):
    (casia / "._train.rec").write_bytes(b"left by macOS")
    (casia / "val.rec").write_bytes(b"")
    assert len(list(record_samples(casia))) == 5
    with pytest.raises(BrownidError, match=rf"no record file such as train.rec in {tmp_path}; give {casia} instead"):
        list(record_samples(tmp_path))
    (casia / "train.rec").rename(casia / "other.rec")
    with pytest.raises(BrownidError, match=r"several record files, other\.rec, val\.rec"):
        list(record_samples(casia))
    (casia / "val.rec").unlink()
    (casia / "train.idx").rename(casia / "other.idx")
    assert len(list(record_samples(casia))) == 5


def test_a_record_file_that_changed_or_is_gone_makes_failures(casia):
    sample = next(record_samples(casia))
    assert image_exists(casia / sample.path) and not image_exists(casia / "other.rec#0")
    with pytest.raises(BrownidError, match="no record begins at byte 4"):
        load_image(casia / "train.rec#4")
    with pytest.raises(BrownidError, match="cut off"):
        load_image(casia / "train.rec#99999999999")
    with pytest.raises(BrownidError, match="record file is missing"):
        load_image(casia / "other.rec#0")


def test_a_stray_image_does_not_hide_the_record_file(casia, tmp_path):
    (casia / "example.png").touch()
    with pytest.raises(BrownidError, match=r"for the images of train\.rec, set `kind: recordio`"):
        index_images({"kind": "people", "root": str(casia)}, {}, tmp_path / "index")


@pytest.mark.parametrize("kind", ["people", "portraits", "utkface"])
def test_another_kind_on_such_a_folder_names_the_right_one(casia, tmp_path, kind):
    for root in (casia, tmp_path):
        settings = {"kind": kind, "root": str(root)}
        with pytest.raises(BrownidError, match=rf"`kind: recordio` and `root: {casia}`"):
            index_images(settings, {}, tmp_path / "index")
