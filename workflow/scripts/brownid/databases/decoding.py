"""Image files and encoded images as pixels: the one place where files of any origin are decoded.

Plain files are decoded by OpenCV (`brownid.databases.plain`), all others by Pillow; the pixels are the same.

A file is untrusted input. Only the formats of `FORMATS` are tried, all of them decoded inside this process: others that
Pillow knows start programs (EPS runs Ghostscript). Whatever a decoder raises is a BrownidError with the reason, so that
a damaged image is a failure of that image alone.
"""

import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from brownid.runtime.errors import BrownidError, one_line

# Pillow's names; .jfif is JPEG, MPO is JPEG with more pictures behind the first, .pgm, .pbm and .pnm are PPM, .jp2 is
# JPEG2000. Some builds of Pillow lack AVIF.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
PILLOW = logging.getLogger("PIL")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's for more than 8 bits: it would cut, not scale
ORIENTATION = 0x0112  # the EXIF tag: how the camera was held
TIFF_BITS, TIFF_BLACK_AND_WHITE, TIFF_NUMBERS = 0x0102, 0x0106, 0x0153  # tags: bits, what 0 is, kind of numbers
WHITE_IS_ZERO, SIGNED = 0, 2  # values of the last two
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_rgb(path: str | Path) -> np.ndarray:
    """The image file as uint8 RGB `[h, w, 3]`, upright; BrownidError with the reason when it is missing or damaged.

    Pixels are turned as the EXIF orientation says, where there is a readable one. Of an animation or several pages the
    first picture counts. Grey of up to 16 bits is scaled to 8; transparent parts are black, as whatever lies beyond a
    photograph is in an aligned crop; colour profiles are not applied.
    """
    with _reasons():
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BrownidError("not a regular file")
        from brownid.databases.plain import LARGEST, decode_plain  # here: a configuration is read without OpenCV

        with open(path, "rb") as file:
            plain = decode_plain(file.read(LARGEST + 1))
            file.seek(0)
            return _decoded(file) if plain is None else plain


def decode_rgb(data: bytes) -> np.ndarray:
    """The bytes of an image file as uint8 RGB `[h, w, 3]`; see `load_rgb`."""
    from brownid.databases.plain import decode_plain  # as above

    plain = decode_plain(data)
    if plain is not None:
        return plain
    with _reasons():
        return _decoded(io.BytesIO(data))


def is_image(path: str | Path) -> bool:
    """Whether the content of a file begins as one of `FORMATS` does, whatever its name; no pixel is decoded."""
    try:
        with open(path, "rb") as file, _reasons(), _opened(file):
            return True
    except (OSError, BrownidError):
        return False


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn every exception of a decoder into a BrownidError with the reason, and let none print warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, once an image
            if PILLOW.level != logging.CRITICAL:  # setting it empties the caches of all loggers
                PILLOW.setLevel(logging.CRITICAL)  # what it logs of damage is said in the reason
            yield
    except BrownidError:
        raise
    except FileNotFoundError as error:
        raise BrownidError("the file is missing") from error
    except UnidentifiedImageError as error:
        # Pillow's own words name a path, or a place in memory that is another one in every run
        raise BrownidError(f"not an image of a format that is read ({', '.join(FORMATS)}), or damaged") from error
    # decoders report damage by any exception, depending on the format and on where it is
    except Exception as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise BrownidError(f"not a readable image ({said})") from error


def _opened(file: IO[bytes]) -> ImageFile.ImageFile:
    Image.init()
    if not file.read(1):
        raise BrownidError("the file is empty")
    file.seek(0)
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def _decoded(file: IO[bytes]) -> np.ndarray:
    with _opened(file) as image:
        image.load()
        turned = UPRIGHT.get(_orientation(image))
        upright = image if turned is None else image.transpose(turned)
        pixels = _from_deep(upright, image) if upright.mode in DEEP_MODES else np.asarray(_as_rgb(upright))
    if not pixels.size:
        raise BrownidError(f"it has no pixels: {pixels.shape[1]} x {pixels.shape[0]}")
    return pixels


def _orientation(image: Image.Image) -> int:
    """The orientation of the EXIF data, 1 (as it is) where there is none that can be read.

    Other EXIF tags are never looked at. Cameras and editors write this one as any type: a number, one in a list, text.
    """
    try:
        value = image.getexif().get(ORIENTATION)
        while isinstance(value, tuple | list):
            value = value[0]
        if isinstance(value, bytes):
            value = value[0] if value[0] in UPRIGHT else value.strip(b"\0 ")
        return 1 if value is None else int(value)
    # broken EXIF data, of which Pillow's reader raises anything; the pixels are whole
    except Exception:
        return 1


def _as_rgb(image: Image.Image) -> Image.Image:
    """The image as RGB, in front of black where it has transparent parts."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")  # which copies, 4 bytes per pixel
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB")


def _from_deep(image: Image.Image, file: ImageFile.ImageFile) -> np.ndarray:
    """Grey of more than 8 bits, decoded from `file`, as uint8 RGB `[h, w, 3]`."""
    from PIL.TiffImagePlugin import TiffImageFile  # here, since few photographs are

    values = np.asarray(image)
    if not values.size:
        return np.empty((*values.shape, 3), np.uint8)
    bits, inverted, signed = 16, False, False  # Pillow scales that of PNG, PPM and JPEG2000 to 16 bits
    if isinstance(file, TiffImageFile):
        bits, signed = (file.tag_v2.get(tag, (1,))[0] for tag in (TIFF_BITS, TIFF_NUMBERS))
        inverted, signed = file.tag_v2.get(TIFF_BLACK_AND_WHITE) == WHITE_IS_ZERO, signed == SIGNED
    white = 2**bits - 1
    if image.mode == "F" or bits > 16 or signed or values.max() > white:
        raise BrownidError(
            "its pixels are neither 8 nor 16 bits without a sign, so what is white is not known; convert it"
        )
    values = white - values if inverted else values
    return np.repeat(np.rint(values / (white / 255)).astype(np.uint8)[..., None], 3, axis=2)
