"""Image shards give back every pixel, and name the image that is damaged."""

import pickle
import struct
import zlib

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from brownid.errors import BrownidError
from brownid.samples import ImageShards, images, png, write_image_shard

IDENTITIES = [3, 3, 4, 4, 4]
LABELS = ["reference", "augmentation_0", "reference", "augmentation_0", "augmentation_1"]


@pytest.fixture
def pixels():
    return np.random.default_rng(2).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)


@pytest.fixture
def shard(tmp_path, pixels):
    path = tmp_path / "images.parquet"
    write_image_shard(path, "people", IDENTITIES, LABELS, pixels)
    return path


def damage(shard, index, offset=-20):
    """Flip one byte of an image inside the file."""
    encoded = bytes(ImageShards([shard]).encoded(index))
    data = bytearray(shard.read_bytes())
    data[data.index(encoded) + len(encoded) + offset] ^= 1
    shard.write_bytes(bytes(data))


def test_images_come_back_pixel_by_pixel_in_the_order_asked(shard, pixels):
    shards = ImageShards([shard])
    assert len(shards) == 5 and shards.side == 12
    np.testing.assert_array_equal(shards.decode([4, 0, 2]), pixels[[4, 0, 2]])
    assert shards.identities.tolist() == IDENTITIES and shards.labels == LABELS
    assert shards.namespaces == ["people"] * 5


def test_stored_images_are_png_files_in_rgb(shard, pixels):
    image = cv2.imdecode(np.frombuffer(ImageShards([shard]).encoded(1), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image[:, :, ::-1], pixels[1])


def test_several_shards_are_one_sequence(shard, pixels, tmp_path):
    write_image_shard(tmp_path / "b.parquet", "others", [0, 1], ["reference"] * 2, pixels[:2][:, ::-1])
    shards = ImageShards([shard, tmp_path / "b.parquet"])
    np.testing.assert_array_equal(shards.decode([6, 0]), [pixels[1][::-1], pixels[0]])
    assert shards.namespaces == ["people"] * 5 + ["others"] * 2
    assert shards.path_of(4) == shard and shards.path_of(5) == tmp_path / "b.parquet"


def test_images_are_found_in_place_across_row_groups(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(images, "ROWS_PER_GROUP", 2)
    write_image_shard(tmp_path / "x.parquet", "people", IDENTITIES, LABELS, pixels)
    shards = ImageShards([tmp_path / "x.parquet"])
    assert pq.ParquetFile(tmp_path / "x.parquet").metadata.num_row_groups == 3
    assert shards._shards[0]._places is not None
    np.testing.assert_array_equal(shards.decode(range(5)), pixels)


def test_a_shard_rewritten_with_compression_reads_the_same(shard, pixels):
    pq.write_table(pq.read_table(shard), shard, compression="zstd")
    shards = ImageShards([shard])
    assert shards._shards[0]._places is None
    np.testing.assert_array_equal(shards.decode(range(5)), pixels)


def test_an_empty_shard_is_a_shard(tmp_path):
    write_image_shard(tmp_path / "none.parquet", "people", [], [], np.empty((0, 12, 12, 3), np.uint8))
    shards = ImageShards([tmp_path / "none.parquet"])
    assert len(shards) == 0 and shards.decode_all()[0].shape == (0, 12, 12, 3)


def test_equal_images_give_equal_files(shard, pixels, tmp_path):
    write_image_shard(tmp_path / "again.parquet", "people", IDENTITIES, LABELS, pixels)
    assert (tmp_path / "again.parquet").read_bytes() == shard.read_bytes()


def test_shards_travel_to_other_processes(shard, pixels):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ImageShards([shard]))).decode([3]), pixels[[3]])


def test_a_damaged_image_is_named_by_file_identity_and_label(shard):
    damage(shard, 3)
    shards = ImageShards([shard])
    assert len(shards.decode([0, 1, 2, 4])) == 4
    with pytest.raises(
        BrownidError, match=r"images\.parquet: the image of identity 4, label 'augmentation_0' .*checksum"
    ):
        shards.decode([3])


def test_damaged_images_are_listed_up_to_the_share_allowed(shard, pixels):
    damage(shard, 1)
    decoded, kept, failures = ImageShards([shard]).decode_all(maximum_failed_share=0.2)
    assert kept.tolist() == [0, 2, 3, 4]
    np.testing.assert_array_equal(decoded, pixels[kept])
    assert [failure[:3] for failure in failures] == [(shard, 3, "augmentation_0")]
    with pytest.raises(BrownidError, match=r"1 of 5 images are not readable, 0 may be; .*identity 3, label 'augm"):
        ImageShards([shard]).decode_all(maximum_failed_share=0.19)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_shard_is_named(shard, share):
    data = shard.read_bytes()
    shard.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BrownidError, match=r"images\.parquet: this is not a readable Parquet file"):
        ImageShards([shard])


def test_files_that_are_no_shards_or_do_not_fit_are_named(shard, tmp_path, pixels):
    with pytest.raises(BrownidError, match=r"absent\.parquet: there is no such file"):
        ImageShards([tmp_path / "absent.parquet"])
    pq.write_table(pa.table({"identity": [1], "label": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(BrownidError, match=r"other\.parquet: this is no image shard, it lacks image, namespace"):
        ImageShards([tmp_path / "other.parquet"])
    write_image_shard(tmp_path / "small.parquet", "people", [9], ["a"], pixels[:1, :6, :6])
    with pytest.raises(BrownidError, match=r"small\.parquet: the images have side 6, those before it 12"):
        ImageShards([shard, tmp_path / "small.parquet"])


def test_rows_that_do_not_fit_together_are_not_written(tmp_path, pixels):
    path = tmp_path / "x.parquet"
    with pytest.raises(BrownidError, match="5 identities, 4 labels and 5 images"):
        write_image_shard(path, "people", IDENTITIES, LABELS[:4], pixels)
    with pytest.raises(BrownidError, match="identity 3, label 'reference' occurs more than once"):
        write_image_shard(path, "people", IDENTITIES, ["reference"] * 5, pixels)
    with pytest.raises(BrownidError, match=r"images must be uint8 \[n, side, side, 3\], not float32"):
        write_image_shard(path, "people", IDENTITIES, LABELS, pixels.astype(np.float32))
    assert not list(tmp_path.iterdir())


def _grey(_):
    return cv2.imencode(".png", np.zeros((12, 12), np.uint8))[1].tobytes()


def _no_pixels(data):
    """A file of perfect structure whose compressed pixels are nonsense."""
    body = b"IDAT" + b"\xff" * 10
    chunk = struct.pack(">I", 10) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[-12:]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"", "not a PNG"),
        (lambda data: b"\xff\xd8" + data, "not a PNG"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], "checksum"),
        (_grey, "not 8-bit RGB"),
        (_no_pixels, "cannot be decoded"),
    ],
)
def test_every_damage_of_a_png_file_has_its_reason(pixels, change, reason):
    with pytest.raises(BrownidError, match=reason):
        png.decode(change(png.encode(pixels[0])), 12)


def test_a_png_file_of_another_size_is_refused(pixels):
    with pytest.raises(BrownidError, match="12x12 instead of 24x24"):
        png.decode(png.encode(pixels[0]), 24)
