"""Image files of the plainest kind, decoded by OpenCV several times as fast as by Pillow, to the same pixels.

Plain is a whole colour JPEG of 8 bits in YCbCr, or PNG of 8 bits in RGB, of a size that Pillow would take, in which
nothing says how the camera was held, what is transparent, or what the colours mean. Anything else, and everything that
looks damaged, is left to Pillow.
"""

import re
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from brownid.samples.png import HEADER_BYTES, MOST_DEFLATED, RGB, SIGNATURE

LARGEST = 16 * 2**20  # bytes; a file of more is no crop of a face, and is not worth the memory
FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
PNG_PARTS = {b"IHDR", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"tIME", b"bKGD"}  # no tRNS, eXIf, texts

# JPEG markers (ITU-T T.81, table B.1) of parts with a length.
START, END, SCAN = b"\xff\xd8\xff", b"\xff\xd9", 0xDA
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # behind a scan, in which FF 00 is a byte, and others restart it
FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; the rest is arithmetic, lossless or hierarchical
TABLES = {0xC4, 0xDB, 0xDD, 0xFE}  # Huffman and quantization tables, restart interval, comment
JFIF, PROFILES = 0xE0, 0xE2  # APP2 has colour profiles, and the directory of files of several pictures
YCBCR = bytes((1, 2, 3))  # the names of the components


def decode_plain(data: bytes) -> np.ndarray | None:
    """The pixels uint8 RGB `[h, w, 3]` of a plain image file; None for any other."""
    if len(data) > LARGEST or not (_is_plain_jpeg(data) or _is_plain_png(data)):
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)
    except cv2.error:
        return None


def _is_plain_jpeg(data: bytes) -> bool:
    """Whether every part of a JPEG file up to its end is of a known kind: what OpenCV passes over, Pillow refuses."""
    if not data.startswith(START):
        return False
    position, framed, scanned = 2, False, False
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        content = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == SCAN and framed:
            scanned, following = True, NEXT_MARKER.search(data, position)
            position = following.start() if following else len(data)
        elif marker in FRAMES and not framed:
            framed = _is_plain_frame(content)
            if not framed:
                return False
        elif not (marker in TABLES or marker == JFIF or (marker == PROFILES and content.startswith(b"ICC_PROFILE\0"))):
            return False
    return scanned and data[position:] == END


def _is_plain_frame(content: bytes) -> bool:
    """Whether a JPEG frame header is of 8 bits, of a size that can be, and of the three components of YCbCr."""
    if len(content) != 15 or content[0] != 8 or content[5] != 3 or content[6::3] != YCBCR:
        return False
    height, width = struct.unpack_from(">HH", content, 1)
    return 0 < height * width <= _most_pixels()


def _is_plain_png(data: bytes) -> bool:
    if not data.startswith(SIGNATURE):
        return False
    position, view = len(SIGNATURE), memoryview(data)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind not in PNG_PARTS or end > len(data) or (kind == b"IHDR") != (position == len(SIGNATURE)):
            return False
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return False
        if kind == b"IHDR":
            if length != HEADER_BYTES:
                return False
            width, height, *kinds = struct.unpack_from(">IIBBBBB", data, position + 8)
            if kinds != [8, RGB, 0, 0, 0] or not 0 < width * height <= _most_pixels():
                return False
            if 3 * width * height > MOST_DEFLATED * len(data):
                return False
        if kind == b"IEND":
            return end == len(data)
        position = end
    return False


def _most_pixels() -> int:
    return Image.MAX_IMAGE_PIXELS or 0
