"""Plain JPEG and PNG files are decoded by OpenCV to Pillow's pixels; what is unusual or damaged is left to Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from brownid.databases import decoding, plain
from brownid.databases.decoding import decode_rgb, load_rgb
from brownid.databases.plain import decode_plain
from brownid.runtime.errors import BrownidError

SMOOTH = np.add.outer(np.linspace(0, 130, 37), np.linspace(0, 90, 23))[..., None] + np.arange(0, 30, 10)
PIXELS = (SMOOTH + np.random.default_rng(1).normal(0, 8, SMOOTH.shape)).clip(0, 255).astype(np.uint8)


def encoded(kind="JPEG", pixels=PIXELS, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def by_pillow(monkeypatch):
    """A function that decodes by Pillow alone: the pixels, or None where it refuses."""

    def decode(data):
        with monkeypatch.context() as patched:
            patched.setattr(plain, "decode_plain", lambda data: None)
            try:
                return decode_rgb(data)
            except BrownidError:
                return None

    return decode


@pytest.mark.parametrize("shape", [(37, 23), (16, 16), (1, 1), (8, 3)])
@pytest.mark.parametrize(
    "options",
    [
        *({"quality": quality, "subsampling": kind} for quality in (30, 95, 100) for kind in (0, 1, 2)),
        *({"progressive": True, "subsampling": kind} for kind in (0, 2)),
        {"restart_marker_blocks": 2},
        {"icc_profile": b"any profile", "comment": b"a comment"},
    ],
    ids=str,
)
def test_plain_jpeg_files_have_pillows_pixels(by_pillow, shape, options):
    data = encoded(pixels=PIXELS[: shape[0], : shape[1]], **options)
    np.testing.assert_array_equal(decode_plain(data), by_pillow(data))


def test_plain_png_files_have_their_pixels(tmp_path):
    data = encoded("PNG")
    np.testing.assert_array_equal(decode_plain(data), PIXELS)
    (tmp_path / "image.png").write_bytes(data)
    np.testing.assert_array_equal(load_rgb(tmp_path / "image.png"), PIXELS)


def turned():
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    return exif


def transparent():
    return np.dstack([PIXELS, np.full(PIXELS.shape[:2], 100, np.uint8)])


def cmyk():
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


UNUSUAL = {
    "turned JPEG": encoded(exif=turned()),
    "turned PNG": encoded("PNG", exif=turned()),
    "grey JPEG": encoded(pixels=PIXELS[..., 0]),
    "CMYK JPEG": cmyk(),
    "grey PNG": encoded("PNG", PIXELS[..., 0]),
    "16 bits": encoded("PNG", PIXELS[..., 0].astype(np.uint16) * 257),
    "transparent PNG": encoded("PNG", transparent()),
    "PNG of a transparent colour": encoded("PNG", transparency=tuple(map(int, PIXELS[0, 0]))),
    "RGB JPEG": encoded(keep_rgb=True),
    "several pictures": encoded("MPO", save_all=True, append_images=[Image.fromarray(PIXELS)]),
    "BMP": encoded("BMP"),
    "large": encoded("PNG") + bytes(plain.LARGEST),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_left_to_pillow(name):
    assert decode_plain(UNUSUAL[name]) is None


def part(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(side=8, rows=8):
    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((1 + 3 * 8) * rows))
    return plain.SIGNATURE + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


def test_files_that_promise_more_than_they_hold_are_left_to_pillow(monkeypatch):
    whole = png()
    assert decode_plain(whole).shape == (8, 8, 3)
    for data in (png(rows=4), png(side=40_000), png(side=0), whole[:-1], whole + b"x"):
        assert decode_plain(data) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 63)
    assert decode_plain(whole) is None and decode_plain(encoded()) is None


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}], ids=str)
def test_a_damaged_jpeg_file_has_pillows_pixels_or_is_left_to_it(by_pillow, capfd, options):
    random, whole, read = np.random.default_rng(3), encoded(**options), 0
    for trial in range(150):
        data, place = bytearray(whole), int(random.integers(len(whole)))
        if trial % 4 == 0:
            data[place] = random.integers(256)
        elif trial % 4 == 1:
            del data[place : place + int(random.integers(1, 30))]
        elif trial % 4 == 2:
            data[place:place] = random.bytes(int(random.integers(1, 5)))
        else:
            data[place:] = b"\xff\xd9"
        found = decode_plain(bytes(data))
        if found is not None:
            read += 1
            np.testing.assert_array_equal(found, by_pillow(bytes(data)))
    assert read > 30
    capfd.readouterr()  # libjpeg's own warnings
