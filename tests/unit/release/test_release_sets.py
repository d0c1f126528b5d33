"""Verification of training sets: each fault of each layout is found behind checksums that fit, in bounded memory."""

import io
import json
import os
import shutil
import struct
import tarfile

import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from brownid.exports.layouts import LAYOUTS
from brownid.release import contents, row_checks
from brownid.release.verify import verify
from brownid.samples import parquet_pages, png

PARQUET = "data/people_set/train-00000-of-00001.parquet"
TAR = "webdataset/people_set/train-00000.tar"
ROWS = 6


@pytest.fixture
def release(made_with_sets, tmp_path):
    """A function giving a copy of that release with some of the layouts of its training set."""

    def copy(*layouts):
        root = tmp_path / "release"
        shutil.copytree(made_with_sets, root)
        for layout in set(LAYOUTS) - set(layouts):
            shutil.rmtree(root / contents.LAYOUT_FOLDERS[layout])
        describe(root, lambda training_set: training_set.update(layouts=list(layouts)))
        return root

    return copy


def describe(root, change):
    """Change what metadata.json says of the training set, and make the checksums fit."""
    content = json.loads((root / "metadata.json").read_text())
    change(content["training_sets"][0])
    (root / "metadata.json").write_text(json.dumps(content))
    contents.write_manifest(root)


def change_table(root, change):
    """Write the rows of the Parquet file again, changed, in the same storage; the faults that are found then."""
    table = change(pq.read_table(root / PARQUET))
    pq.write_table(table, root / PARQUET, compression="none", use_dictionary=["label", "identity", "sample", "dataset"])
    contents.write_manifest(root)
    return verify(root)


def replaced(table, name, change):
    """A table with a column whose values `change` has changed, as a list."""
    place = table.schema.get_field_index(name)
    values = table[name].to_pylist()
    change(values)
    return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))


def test_a_release_with_all_layouts_has_no_problems(release):
    assert verify(release(*LAYOUTS)) == []


def test_several_processes_find_the_same_in_training_sets(release, monkeypatch):
    root = release("parquet", "webdataset")
    seen = []

    def show(items, description, unit, total):
        items = list(items)
        seen.append((description, len(items), total))
        return items

    monkeypatch.setattr("brownid.release.row_readers.ROWS_PER_PIECE", 2)
    monkeypatch.setattr(row_checks, "ROWS_PER_PROCESS", 1)
    assert verify(root, processes=2, progress=show) == []
    sets = [(f"checking people_set ({layout})", ROWS, ROWS) for layout in ("parquet", "webdataset")]
    assert seen[1:3] == sets


def spoiled(image):
    image["bytes"] = image["bytes"][:-20] + b"x" + image["bytes"][-19:]


def larger(image):
    image["bytes"] += b"\0" * 100_000


def of_another_size(image):
    image["bytes"] = png.encode(np.zeros((10, 10, 3), np.uint8))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (spoiled, "row 3: the image is not usable, its IDAT part is damaged"),
        (of_another_size, "row 3: the image is not usable, it is 10x10 instead of 12x12."),
        (larger, "the image of row 3 has 100"),
    ],
)
def test_an_image_of_a_parquet_file_that_is_not_usable_is_found(release, change, sentence):
    found = change_table(release("parquet"), lambda table: replaced(table, "image", lambda rows: change(rows[3])))
    assert any(problem.startswith("data/people_set") and sentence in problem for problem in found)


def test_an_image_that_is_not_that_of_the_published_file_is_found(release):
    root = release("parquet")
    path = "world_lang_v1/images_arcface_12x12/00001/lighting_far_left.png"
    (root / path).write_bytes(png.encode(np.zeros((12, 12, 3), np.uint8)))
    contents.write_manifest(root)
    assert verify(root) == [f"{path}: the image is not that of row 3 of data/people_set."]


def set_row(row, value):
    def change(rows):
        rows[row] = value

    return change


@pytest.mark.parametrize(
    ("column", "row", "value", "sentences"),
    [
        ("label", 2, 0, ["row 2: the identity 'people/00001' is not that of label 0."]),
        ("label", 5, 0, ["row 5 has the label 0 after 2."]),
        ("label", 5, 7, ["row 5 of label 7 is not one of 6 rows and 3 classes."]),
        ("identity", 3, "people/00012", ["row 3: the identity 'people/00012' is not that of label 1."]),
        ("sample", 3, "reference", ["row 3: people/00001 has the sample 'reference' of world_lang_v1 twice."]),
        ("dataset", 3, "other", ["5 rows of world_lang_v1, metadata.json says 6", "1 rows of other"]),
        ("embedding", 3, [2.0, 0.0, 0.0, 0.0], ["1 embeddings are not of unit length, the first is row 3"]),
        ("latent", 4, [np.nan] * 8, ["latent of row 4 holds NaN or infinite numbers."]),
    ],
)  # fmt: skip
def test_a_row_that_is_not_as_it_should_be_is_found(release, column, row, value, sentences):
    found = change_table(release("parquet"), lambda table: replaced(table, column, set_row(row, value)))
    for sentence in sentences:
        assert any(sentence in problem for problem in found), found


def test_rows_and_classes_that_the_metadata_does_not_say_are_found(release):
    found = change_table(release("parquet"), lambda table: table.slice(0, 4))
    assert "data/people_set: there are 4 rows, metadata.json says 6." in found
    assert "data/people_set: there are 2 labels of 2 identities, metadata.json says 3." in found


def test_columns_of_other_types_are_refused(release):
    (problem,) = change_table(release("parquet"), lambda table: table.drop_columns(["embedding"]))
    assert problem == f"{PARQUET}: the column embedding is missing, unknown or of another type."


def test_a_parquet_file_that_is_missing_or_nonsense_is_found(release):
    root = release("parquet")
    (root / PARQUET).write_text("nonsense" * 10)
    contents.write_manifest(root)
    assert verify(root) == [f"{PARQUET}: this is no Parquet file, or it is cut off; get it again."]
    (root / PARQUET).unlink()
    assert f"{PARQUET}: the file is missing." in verify(root)


def bomb(path, **storage):
    """Write few bytes that stand for many images."""
    image = pq.read_schema(path).field("image")
    rows = pa.array([{"bytes": bytes(10**5), "path": None}] * 100, image.type)
    pq.write_table(pa.table([rows], schema=pa.schema([image], metadata=pq.read_schema(path).metadata)), path, **storage)


@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ({"compression": "zstd", "use_dictionary": False}, "is compressed by ZSTD, which this column may not be"),
        ({"compression": "snappy", "use_dictionary": False}, "is compressed by SNAPPY, which this column may not be"),
        ({"compression": "none"}, "its values stand in a dictionary, which those of this column may not"),
        (
            {"compression": "none", "use_dictionary": False, "column_encoding": {"image.bytes": "DELTA_BYTE_ARRAY"}},
            "the encoding 7 of a page is not one that this column may have",
        ),
    ],
)
def test_a_parquet_file_that_becomes_much_longer_is_not_read(release, storage, sentence, monkeypatch):
    root = release("parquet")
    bomb(root / PARQUET, **storage)
    contents.write_manifest(root)
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", None)
    (problem,) = verify(root)
    assert problem.startswith(f"{PARQUET}: row group 0, column image.bytes") and sentence in problem


def test_page_headers_are_read_as_pyarrow_wrote_them(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"numbers": np.arange(5000), "texts": [f"text {number % 7}" for number in range(5000)]})
    for options in ({}, {"data_page_version": "2.0"}, {"data_page_size": 100, "use_dictionary": False}):
        pq.write_table(table, path, row_group_size=2000, compression="snappy", **options)
        file = parquet_pages.opened(path)
        assert parquet_pages.read_groups(file, path, range(3), []).equals(table)


def test_record_files_that_do_not_fit_are_found(release):
    root, folder = release("recordio"), "recordio/people_set"
    whole = (root / folder / "train.idx").read_text()
    lines = whole.splitlines(keepends=True)
    cases = {
        "train.idx": ("".join([*lines[:3], "3\t5\n", *lines[4:]]), "train.idx: line 4 is not that of record 3."),
        "train.tsv": ("1\ta\t9\n", "train.tsv: line 1 is not that of record 1."),
        "property": ("3,12,13\n", "property: it says '3,12,13' instead of '3,12,12'."),
    }
    for name, (text, sentence) in cases.items():
        before = (root / folder / name).read_bytes()
        (root / folder / name).write_text(text)
        contents.write_manifest(root)
        assert verify(root) == [f"{folder}/{sentence}"]
        (root / folder / name).write_bytes(before)


def test_a_record_file_without_a_record_per_identity_is_found(release):
    root, folder = release("recordio"), "recordio/people_set"
    lines = (root / folder / "train.idx").read_text().splitlines(keepends=True)
    images = len((root / folder / "train.tsv").read_text().splitlines())
    start = int(lines[images + 1].split("\t")[1])
    (root / folder / "train.rec").write_bytes((root / folder / "train.rec").read_bytes()[:start])
    (root / folder / "train.idx").write_text("".join(lines[: images + 1]))
    contents.write_manifest(root)
    (fault,) = verify(root)
    assert fault.endswith("train.rec: it has 0 records of identities, and 3 classes.")


def test_layouts_that_hold_other_images_or_labels_are_found(release):
    root = release("parquet", "recordio")
    records = bytearray((root / "recordio/people_set/train.rec").read_bytes())
    records[records.rindex(b"IEND") - 20] ^= 1  # of the last image
    (root / "recordio/people_set/train.rec").write_bytes(records)
    contents.write_manifest(root)
    assert verify(root) == [
        "recordio/people_set: images or labels of the rows 0 to 5 are not those of data/people_set."
    ]


def rewrite_tar(root, change):
    """Write the members of the shard again, changed; the faults that are found then."""
    with tarfile.open(root / TAR) as file:
        members = [(info, file.extractfile(info).read()) for info in file]
    with tarfile.open(root / TAR, "w", format=tarfile.USTAR_FORMAT) as file:
        for info, content in change(members):
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    contents.write_manifest(root)
    return verify(root)


def linked(members):
    members[0][0].type = tarfile.SYMTYPE
    members[0][0].linkname = "/etc/passwd"
    return members


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda members: members[3:], "the shard has 5 images, index.json says 6."),
        (lambda members: members[:-3] + members[:3], "of the rows 0 to 5 some are missing or occur twice."),
        (lambda members: [members[0], *members[2:]], ".cls is missing, or is too long."),
        (lambda members: [members[0], (members[1][0], b"2" if members[1][1] != b"2" else b"1"), *members[2:]],
         "do not say the same class"),
        (lambda members: [(members[0][0], bytes(10**6)), *members[1:]], "has 1000000 bytes, more than it can have."),
        (lambda members: [members[0], members[1], (members[2][0], b"[" * 30_000), *members[3:]], "name no identity."),
        (linked, "is not a plain file."),
    ],
)  # fmt: skip
def test_faults_of_tar_shards_are_found(release, change, sentence):
    found = rewrite_tar(release("webdataset"), change)
    assert any(sentence in problem for problem in found) and found[0].startswith("webdataset/people_set"), found


def test_a_tar_shard_that_is_cut_off_is_found(release):
    root = release("webdataset")
    os.truncate(root / TAR, 3000)
    contents.write_manifest(root)
    assert "the tar file is cut off" in verify(root)[0]


def change_lmdb(root, change):
    path = root / "lmdb/people_set/train.lmdb"
    with lmdb.open(str(path), subdir=False, lock=False, map_size=2**20) as file, file.begin(write=True) as transaction:
        change(transaction)
    contents.write_manifest(root)
    return verify(root)


def test_faults_of_an_lmdb_file_are_found(release):
    root = release("lmdb")
    assert change_lmdb(root, lambda file: file.put(b"2", b"\x92\xc4\x05abc")) == [
        "lmdb/people_set/train.lmdb: the value of the key 2 is not an image and its class."
    ]
    assert "its keys are not those of 6 rows" in change_lmdb(root, lambda file: file.delete(b"5"))[0]


def test_an_lmdb_file_whose_pages_lead_out_of_it_ends_in_a_sentence(release):
    root = release("lmdb")
    path = root / "lmdb/people_set/train.lmdb"
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        if struct.unpack_from("<H", content, page * 4096 + 10)[0] & 2:  # a leaf: its nodes point far away
            content[page * 4096 + 16 : page * 4096 + 200] = b"\xff" * 184
    path.write_bytes(content)
    contents.write_manifest(root)
    found = verify(root)
    assert found and all(problem.startswith("lmdb/people_set") for problem in found)


def test_a_training_set_that_the_metadata_does_not_describe_is_found(release):
    root = release("parquet")
    content = json.loads((root / "metadata.json").read_text())
    content["training_sets"] = []
    (root / "metadata.json").write_text(json.dumps(content))
    contents.write_manifest(root)
    assert verify(root) == ["data/people_set: metadata.json does not describe this training set."]
