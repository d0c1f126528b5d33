"""Image shards give back every pixel, and name the image that is damaged."""

import errno
import os
import pickle
import struct
import threading
import weakref
import zlib

import cv2
import numpy as np
import pyarrow as pa
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples import encoding, images, png
from brownid.samples.images import ImageShards, write_image_shard

IDENTITIES = [3, 3, 4, 4, 4]
LABELS = ["reference", "augmentation_0", "reference", "augmentation_0", "augmentation_1"]


@pytest.fixture
def pixels():
    return np.random.default_rng(2).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)


@pytest.fixture
def shard(tmp_path, pixels):
    path = tmp_path / "images.arrow"
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
    assert len(shards) == 5 and shards.image_size == 12
    np.testing.assert_array_equal(shards.decode([4, 0, 2]), pixels[[4, 0, 2]])
    assert shards.identities.tolist() == IDENTITIES and shards.labels == LABELS
    assert shards.namespaces == ["people"] * 5


def test_stored_images_are_png_files_in_rgb(shard, pixels):
    image = cv2.imdecode(np.frombuffer(ImageShards([shard]).encoded(1), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image[:, :, ::-1], pixels[1])


def test_several_shards_are_one_sequence(shard, pixels, tmp_path):
    write_image_shard(tmp_path / "b.arrow", "others", [0, 1], ["reference"] * 2, pixels[:2][:, ::-1])
    shards = ImageShards([shard, tmp_path / "b.arrow"])
    np.testing.assert_array_equal(shards.decode([6, 0]), [pixels[1][::-1], pixels[0]])
    assert shards.namespaces == ["people"] * 5 + ["others"] * 2
    assert shards.path_of(4) == shard and shards.path_of(5) == tmp_path / "b.arrow"


def test_images_lie_in_the_mapped_file_in_batches_of_bounded_size(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(images, "ROWS_PER_BATCH", 2)
    write_image_shard(tmp_path / "x.arrow", "people", IDENTITIES, LABELS, pixels)
    assert pa.ipc.open_file(tmp_path / "x.arrow").num_record_batches == 3
    before = pa.total_allocated_bytes()
    shards = ImageShards([tmp_path / "x.arrow"])
    encoded = [shards.encoded(row) for row in range(5)]
    assert pa.total_allocated_bytes() - before < min(map(len, encoded)), "no image is copied"
    np.testing.assert_array_equal(shards.decode(range(5)), pixels)


def test_an_empty_shard_is_a_shard(tmp_path):
    write_image_shard(tmp_path / "none.arrow", "people", [], [], np.empty((0, 12, 12, 3), np.uint8))
    shards = ImageShards([tmp_path / "none.arrow"])
    assert len(shards) == 0 and shards.decode_readable([])[0].shape == (0, 12, 12, 3)


def test_equal_images_give_equal_files(shard, pixels, tmp_path):
    write_image_shard(tmp_path / "again.arrow", "people", IDENTITIES, LABELS, pixels)
    assert (tmp_path / "again.arrow").read_bytes() == shard.read_bytes()


def batches(pixels, sizes):
    """The images in batches of these sizes."""
    starts = np.cumsum([0, *sizes])
    return (pixels[start : start + size] for start, size in zip(starts, sizes, strict=False))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sizes", [[5], [2, 3], [1, 0, 1, 1, 2]])
def test_the_bytes_depend_on_neither_batches_nor_threads(shard, pixels, tmp_path, monkeypatch, sizes, threads):
    monkeypatch.setattr(encoding, "AT_ONCE", 2)
    images = batches(pixels, sizes)
    write_image_shard(tmp_path / "b.arrow", "people", IDENTITIES, LABELS, images, image_size=12, threads=threads)
    assert (tmp_path / "b.arrow").read_bytes() == shard.read_bytes()


def test_no_more_than_two_batches_are_held_while_a_shard_is_written(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(images, "ROWS_PER_BATCH", 2)
    alive, most = weakref.WeakSet(), []

    def rendered():
        for _ in range(20):
            batch = Batch(pixels[:1].shape, np.uint8)
            batch[:] = pixels[:1]
            alive.add(batch)
            most.append(len(alive))
            yield batch
            del batch

    labels = list(map(str, range(20)))
    write_image_shard(tmp_path / "x.arrow", "people", [1] * 20, labels, rendered(), image_size=12)
    assert len(ImageShards([tmp_path / "x.arrow"])) == 20 and max(most) <= 3  # with the one that is being made


def test_a_disk_that_is_full_is_a_sentence_and_leaves_no_file(tmp_path, pixels, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(images, "ROWS_PER_BATCH", 2)
    monkeypatch.setattr(images, "_column", refuse)
    with pytest.raises(BrownidError, match=r"x\.arrow: No space left on device"):
        write_image_shard(tmp_path / "x.arrow", "people", IDENTITIES, LABELS, batches(pixels, [2, 3]), image_size=12)
    assert not list(tmp_path.iterdir())


def test_a_batch_is_encoded_while_the_next_one_is_made(tmp_path, pixels, monkeypatch):
    encode, done = png.encode, threading.Semaphore(0)

    def counted(image):
        data = encode(image)
        done.release()
        return data

    def rendered():
        yield pixels[:3]
        for _ in range(3):  # would wait for ever if the first batch were encoded after this one
            assert done.acquire(timeout=60)
        yield pixels[3:]

    monkeypatch.setattr(png, "encode", counted)
    write_image_shard(tmp_path / "x.arrow", "people", IDENTITIES, LABELS, rendered(), image_size=12)


class Batch(np.ndarray):
    """One that has a hash, for a WeakSet."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def test_an_image_that_cannot_be_encoded_is_named_and_leaves_no_file(tmp_path, pixels, monkeypatch):
    def refuse(image):
        if np.array_equal(image, pixels[3]):
            raise cv2.error("no room")
        return b"png"

    monkeypatch.setattr(png, "encode", refuse)
    path = tmp_path / "x.arrow"
    named = r"x\.arrow: the image of identity 4, label 'augmentation_0' cannot be encoded \(no room\)"
    with pytest.raises(BrownidError, match=named):
        write_image_shard(path, "people", IDENTITIES, LABELS, batches(pixels, [2, 3]), image_size=12, threads=2)
    assert not list(tmp_path.iterdir())


def test_batches_that_break_off_or_are_too_few_too_many_or_of_another_side_leave_no_file(tmp_path, pixels):
    def broken():
        yield pixels[:2]
        raise BrownidError("the GPU is gone.")

    path = tmp_path / "x.arrow"
    cases = [
        (broken(), "the GPU is gone"),
        (batches(pixels, [2, 2]), "5 identities and labels, but only 4 images"),
        (batches(np.concatenate([pixels, pixels]), [5, 5]), "more images than the 5 identities and labels"),
        (
            iter([pixels[:, :6, :6]]),
            r"identity 3, label 'reference' cannot be encoded: images must be uint8 \[n, 12, 12",
        ),
    ]
    for images_, said in cases:
        with pytest.raises(BrownidError, match=said):
            write_image_shard(path, "people", IDENTITIES, LABELS, images_, image_size=12)
    with pytest.raises(BrownidError, match="images in batches need their image_size"):
        write_image_shard(path, "people", IDENTITIES, LABELS, batches(pixels, [5]))
    assert not list(tmp_path.iterdir())


def test_shards_travel_to_other_processes(shard, pixels):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ImageShards([shard]))).decode([3]), pixels[[3]])


def test_a_damaged_image_is_named_by_file_identity_and_label(shard):
    damage(shard, 3)
    shards = ImageShards([shard])
    assert len(shards.decode([0, 1, 2, 4])) == 4
    with pytest.raises(
        BrownidError, match=r"images\.arrow: the image of identity 4, label 'augmentation_0' .*checksum"
    ):
        shards.decode([3])


def test_damaged_images_are_told_from_those_that_can_be_read(shard, pixels):
    damage(shard, 1)
    decoded, failures = ImageShards([shard]).decode_readable(range(5))
    np.testing.assert_array_equal(decoded, pixels[[0, 2, 3, 4]])
    assert list(failures) == [1] and "identity 3, label 'augmentation_0' is not readable" in failures[1]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_shard_is_named(shard, share):
    data = shard.read_bytes()
    shard.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BrownidError, match=r"images\.arrow: this is not a readable Arrow file"):
        ImageShards([shard])


@pytest.mark.parametrize("what", [b"augmentation_1", np.array(IDENTITIES).tobytes(), b"people"])
def test_a_flipped_byte_among_identities_labels_or_namespace_is_noticed(shard, what):
    data = bytearray(shard.read_bytes())
    data[data.rindex(what)] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(BrownidError, match=r"images\.arrow: identities, labels or metadata are damaged"):
        ImageShards([shard])


def test_bytes_changed_at_random_give_an_image_or_a_sentence(shard, pixels):
    whole, random = shard.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, len(data), 3)] = random.integers(0, 256, 3)
        shard.write_bytes(data.tobytes())
        try:
            np.testing.assert_array_equal(ImageShards([shard]).decode(range(5)), pixels)
        except BrownidError as error:
            assert str(shard) in str(error)


def test_files_that_are_no_shards_or_do_not_fit_are_named(shard, tmp_path, pixels):
    with pytest.raises(BrownidError, match=r"absent\.arrow: there is no such file"):
        ImageShards([tmp_path / "absent.arrow"])
    table = pa.table({"identity": [1], "label": ["a"]})
    with pa.ipc.new_file(tmp_path / "other.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(BrownidError, match=r"other\.arrow: this is an Arrow file, but no image shard of version 1"):
        ImageShards([tmp_path / "other.arrow"])
    write_image_shard(tmp_path / "small.arrow", "people", [9], ["a"], pixels[:1, :6, :6])
    with pytest.raises(BrownidError, match=r"small\.arrow: the images have side 6, those before it 12"):
        ImageShards([shard, tmp_path / "small.arrow"])


def forged(path, image_size="12", compression=None, image=bytes(100)):
    """A shard with right checksums of three images, as a stranger could write it."""
    metadata = {"namespace": "people", "side": image_size, "version": "1"}
    identities, labels = np.arange(3), ["reference"] * 3
    metadata["checksum"] = images._checksum(metadata, identities, labels)
    fields = [pa.field(name, kind, nullable=False) for name, kind in images.COLUMNS.items()]
    schema = pa.schema(fields, metadata=metadata)
    columns = zip((identities, labels, [image] * 3), images.COLUMNS.values(), strict=True)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(path, schema, options=options) as writer:
        writer.write_batch(pa.record_batch([pa.array(rows, kind) for rows, kind in columns], schema=schema))
    return path


@pytest.mark.parametrize("image_size", ["1000000000", "0", "-12", "twelve", "9" * 5000])
def test_a_side_that_no_image_can_have_is_refused_before_memory_is_taken_for_it(tmp_path, image_size):
    with pytest.raises(BrownidError, match=r"images\.arrow: this is not a readable Arrow file"):
        ImageShards([forged(tmp_path / "images.arrow", image_size=image_size)])


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_columns_that_could_expand_without_bound_are_refused(tmp_path, compression):
    path = forged(tmp_path / "images.arrow", compression=compression, image=bytes(10**6))
    assert path.stat().st_size < 10**5
    with pytest.raises(BrownidError, match=r"images\.arrow: .*its columns are compressed"):
        ImageShards([path])
    assert len(ImageShards([forged(path)])) == 3


def test_a_pipe_in_place_of_a_shard_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "images.arrow")
    with pytest.raises(BrownidError, match=r"images\.arrow: this is no regular file"):
        ImageShards([tmp_path / "images.arrow"])


def test_rows_that_do_not_fit_together_are_not_written(tmp_path, pixels):
    path = tmp_path / "x.arrow"
    with pytest.raises(BrownidError, match="there are 5 identities and 4 labels"):
        write_image_shard(path, "people", IDENTITIES, LABELS[:4], pixels)
    with pytest.raises(BrownidError, match=r"x\.arrow: identities must be whole numbers, not 0\.9"):
        write_image_shard(path, "people", [0.9] * 5, LABELS, pixels)
    with pytest.raises(BrownidError, match="identity 3, label 'reference' occurs more than once"):
        write_image_shard(path, "people", IDENTITIES, ["reference"] * 5, pixels)
    with pytest.raises(BrownidError, match=r"images must be uint8 \[n, S, S, 3\], not float32"):
        write_image_shard(path, "people", IDENTITIES, LABELS, pixels.astype(np.float32))
    with pytest.raises(BrownidError, match="there are 5 identities and labels, but 4 images"):
        write_image_shard(path, "people", IDENTITIES, LABELS, pixels[:4])
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


def part(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (struct.pack(">2I5B", 0, 0, 8, 2, 0, 0, 0), "cannot hold the 0x0 pixels"),
        (struct.pack(">2I5B", 40000, 40000, 8, 2, 0, 0, 0), "cannot hold the 40000x40000 pixels"),
        (b"", "header has 0 bytes instead of 13"),
    ],
)
def test_a_header_that_promises_too_much_is_refused_before_it_is_believed(header, problem):
    file = png.SIGNATURE + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(100))) + part(b"IEND", b"")
    with pytest.raises(BrownidError, match=problem):
        png.decode(file)
