"""Decoding: every format that is meant and nothing else; what a decoder raises is the reason why one image fails."""

import io
import logging
import struct
import subprocess
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from brownid.databases.decoding import FORMATS, decode_rgb, is_image, load_rgb
from brownid.runtime.errors import BrownidError

PIXELS = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
SMOOTH = np.full((16, 16, 3), (40, 90, 200), np.uint8)


def encoded(image, form, **options):
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, form, **options)
    return file.getvalue()


def exif(*entries):
    """EXIF data whose tags are `entries`: tag, type, count and value as bytes, as a camera may write them."""
    body, tail = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in sorted(entries):
        if len(value) > 4:
            tail, value = tail + value, struct.pack("<I", 14 + 12 * len(entries) + len(tail))
        body += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"Exif\0\0" + body + b"\0\0\0\0" + tail


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_decoded(form):
    options = {"quality": 95} if form in ("JPEG", "WEBP", "AVIF") else {}
    assert np.abs(decode_rgb(encoded(SMOOTH, form, **options)).astype(int) - SMOOTH).max() <= 4


@pytest.mark.parametrize("form", ["EPS", "PDF", "PCX", "TGA", "ICNS"])
def test_no_other_format_is_opened(tmp_path, monkeypatch, form):
    for name in ("Popen", "run", "call", "check_call"):
        monkeypatch.setattr(subprocess, name, lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "face.png"
    path.write_bytes(encoded(SMOOTH, form))
    assert not is_image(path)
    with pytest.raises(BrownidError, match=r"not an image of a format that is read \(PNG, JPEG, "):
        load_rgb(path)


def test_images_are_told_by_their_content(tmp_path):
    (tmp_path / "face").write_bytes(encoded(SMOOTH, "JPEG"))
    (tmp_path / "text.png").write_text("nothing to see")
    assert is_image(tmp_path / "face")
    assert not any(is_image(path) for path in (tmp_path / "text.png", tmp_path / "missing", tmp_path))


ORIENTATIONS = {
    "short": (3, 1, struct.pack("<H", 6)),
    "long": (4, 1, struct.pack("<I", 6)),
    "byte": (1, 1, b"\x06"),
    "text": (2, 2, b"6\0"),
    "undefined": (7, 1, b"\x06"),
    "several": (3, 2, struct.pack("<2H", 6, 0)),
    "rational": (5, 1, struct.pack("<2I", 6, 1)),
    "float": (11, 1, struct.pack("<f", 6)),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", ORIENTATIONS)
def test_a_photograph_is_turned_as_its_camera_was_held(form, kind):
    data = encoded(PIXELS, form, exif=exif((0x0112, *ORIENTATIONS[kind])))
    np.testing.assert_array_equal(decode_rgb(data), np.rot90(decode_rgb(encoded(PIXELS, form)), -1))


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_applied_once_in_tiff_files_too(value):
    upright = [PIXELS, PIXELS[:, ::-1], PIXELS[::-1, ::-1], PIXELS[::-1], np.swapaxes(PIXELS, 0, 1)]
    upright += [np.rot90(PIXELS, -1), np.swapaxes(PIXELS[::-1, ::-1], 0, 1), np.rot90(PIXELS)]
    tags = Image.Exif()
    tags[0x0112] = value
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode_rgb(encoded(PIXELS, form, exif=tags)), upright[value - 1])


UPRIGHT = (0x0112, 3, 1, struct.pack("<H", 1))
MALFORMED = {
    "resolution as text": exif(UPRIGHT, (0x011A, 2, 3, b"72\0")),
    "resolution divided by zero": exif(UPRIGHT, (0x011A, 5, 1, bytes(8))),
    "an unknown type": exif(UPRIGHT, (0x0110, 99, 1, b"?")),
    "a value beyond the end": exif(UPRIGHT, (0x010F, 2, 4000, struct.pack("<I", 60000))),
    "sub-directories beyond the end": exif(UPRIGHT, (0x8769, 4, 1, b"\xff\xff\xff\xff")),
    "a sub-directory as text": exif(UPRIGHT, (0x8769, 2, 3, b"no\0"), (0x8825, 2, 3, b"no\0")),
    "an orientation of nine": exif((0x0112, 3, 1, struct.pack("<H", 9))),
    "an orientation without a value": exif((0x0112, 3, 0, b"")),
    "an orientation in words": exif((0x0112, 2, 4, b"top\0")),
    "no directory": b"Exif\0\0II*\0",
    "a directory cut short": exif(UPRIGHT)[:20],
    "another header": b"Exif\0\0not a TIFF header",
    "nothing": b"Exif\0\0",
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_exif_data_leaves_the_pixels_as_they_are(form, kind):
    np.testing.assert_array_equal(
        decode_rgb(encoded(PIXELS, form, exif=MALFORMED[kind])), decode_rgb(encoded(PIXELS, form))
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_the_reason_or_an_image(form, share):
    data = encoded(np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8), form)
    try:
        assert decode_rgb(data[: int(share * len(data))]).shape == (32, 32, 3)  # a JPEG without its last lines, say
    except BrownidError as error:
        assert str(error).startswith(("the file is empty", "not a"))


@pytest.mark.parametrize("form", FORMATS)
def test_flipped_bytes_raise_nothing_else(form):
    data = encoded(np.random.default_rng(2).integers(0, 255, (24, 24, 3), np.uint8), form)
    draw = np.random.default_rng(3)
    for _ in range(40):
        damaged = bytearray(data)
        for place in draw.integers(0, min(len(data), 300), 3):
            damaged[place] = draw.integers(256)
        try:
            image = decode_rgb(bytes(damaged))
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        except BrownidError:
            pass


@pytest.mark.parametrize("raised", [MemoryError, KeyError, TypeError, struct.error, AssertionError, RecursionError])
def test_whatever_a_decoder_raises_is_the_reason(monkeypatch, raised):
    def load(self):
        raise raised("of this kind")

    data = encoded(PIXELS, "BMP")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(BrownidError, match=r"not a readable image .*of this kind"):
        decode_rgb(data)


def png_of_size(width, height):
    header = b"IHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + bytes(8)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (60000, 60000), (2**31 - 1, 2**31 - 1)])
def test_sizes_that_no_image_has_are_refused_before_they_are_allocated(size):
    with pytest.raises(BrownidError):
        decode_rgb(png_of_size(*size))


def test_what_is_no_file_of_its_own_is_a_reason(tmp_path):
    (tmp_path / "empty.png").touch()
    for path, reason in {
        tmp_path / "missing.png": "the file is missing",
        tmp_path: "not a regular file",
        tmp_path / "empty.png": "the file is empty",
        tmp_path / "missing.png\0": "embedded null",
    }.items():
        with pytest.raises(BrownidError, match=reason):
            load_rgb(path)


def test_grey_palette_cmyk_and_black_and_white_are_read_as_rgb():
    np.testing.assert_array_equal(decode_rgb(encoded(np.full((4, 4), 7, np.uint8), "PNG")), np.full((4, 4, 3), 7))
    picture = Image.fromarray(SMOOTH)
    np.testing.assert_array_equal(decode_rgb(encoded(picture.quantize(4), "PNG")), SMOOTH)
    np.testing.assert_array_equal(decode_rgb(encoded(picture.convert("CMYK"), "TIFF")), SMOOTH)
    assert decode_rgb(encoded(picture.convert("1"), "PPM")).shape == SMOOTH.shape


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_parts_are_black(mode):
    if mode in ("RGBA", "LA"):
        image = Image.new("RGBA", (2, 1), (200, 200, 200, 255))
        image.putpixel((1, 0), (200, 200, 200, 0))
        data = encoded(image.convert(mode), "PNG")
    else:
        image = Image.fromarray(np.array([[[200] * 3, [100] * 3]], np.uint8))
        image = image.quantize(2) if mode == "P" else image
        data = encoded(image, "PNG", transparency=image.getpixel((1, 0)))
    assert decode_rgb(data).tolist() == [[[200] * 3, [0] * 3]]


def test_of_several_pictures_the_first_counts():
    first, second = Image.fromarray(SMOOTH), Image.new("RGB", (16, 16))
    for form in ("GIF", "TIFF", "PNG"):
        np.testing.assert_array_equal(decode_rgb(encoded(first, form, save_all=True, append_images=[second])), SMOOTH)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_grey_of_16_bits_is_scaled_not_cut(form):
    data = encoded(np.array([[0, 257, 25700, 65535]], np.uint16), form)
    np.testing.assert_array_equal(decode_rgb(data)[0], np.array([[0, 1, 100, 255]] * 3).T)


def grey_tiff(width, content, bits, zero_is_black=1):
    """One row of grey in a TIFF file, as cameras write it that Pillow itself never writes."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: zero_is_black, 273: 116, 277: 1, 279: len(content)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0" * 10 + content


def test_grey_of_12_bits_is_scaled_by_its_own_white():
    assert decode_rgb(grey_tiff(2, b"\xff\xf0\x00", 12))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(("bits", "content"), [(8, b"\0\xff"), (16, b"\0\0\xff\xff")])
def test_grey_that_counts_from_white_is_no_negative(bits, content):
    assert decode_rgb(grey_tiff(2, content, bits, zero_is_black=0))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(("kind", "value"), [(np.int32, 70000), (np.int32, 200), (np.int16, 200), (np.float32, 0.5)])
def test_pixels_of_no_known_range_are_refused(kind, value):
    with pytest.raises(BrownidError, match="neither 8 nor 16 bits without a sign"):
        decode_rgb(encoded(np.full((1, 2), value, kind), "TIFF"))


def test_a_decoder_logs_nothing_of_its_own(caplog):
    tags = bytearray(encoded(PIXELS, "TIFF"))
    place = tags.index(struct.pack("<HHI", 277, 3, 1)) + 8  # samples a pixel
    tags[place : place + 2] = struct.pack("<H", 5000)
    with pytest.raises(BrownidError):
        decode_rgb(bytes(tags))
    assert not caplog.records


def test_odd_metadata_prints_nothing(caplog):
    data = encoded(PIXELS, "JPEG", exif=MALFORMED["a value beyond the end"])
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        decode_rgb(data)
    assert not caplog.records
