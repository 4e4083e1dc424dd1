"""What a file can hold at most, so that a small or broken one never asks for much memory."""

import os
import struct
from typing import BinaryIO

from PIL import Image

from exposure_env.files.metadata import BITS

DEFLATED = 1032  # bytes that a byte of deflated data can stand for
JPEG_PIXELS = 2048  # pixels in a byte of JPEG: four times as many as in Huffman's code, where a block of 64 takes a bit
# Bytes that a byte can stand for in the kinds of compression that a TIFF names. Fax codes describe a line in a bit.
TIFF_RATIOS = {1: 1, 2: 2**16, 3: 2**16, 4: 2**16, 5: 1500, 6: 3 * JPEG_PIXELS, 7: 3 * JPEG_PIXELS, 8: DEFLATED,
               32773: 64, 32946: DEFLATED}
OTHER_RATIO = 2**14
COMPRESSION, TILE_WIDTH, TILE_HEIGHT = 259, 322, 323
STRIPS = 273, 279, 324, 325  # where each strip or tile starts, and how many bytes it has
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel by colour type


def check_content(header: Image.Image, file: BinaryIO) -> None:
    """Checks that a file is long enough for its pixels and for its parts, and has no tiles far larger than the image.

    Args:
        header: What Pillow read of a JPEG, PNG or TIFF, without its pixels.
        file: The file, open to be read; left where it is.

    Raises:
        ValueError: If it is not.
    """
    width, height = header.size
    length, pixels = os.fstat(file.fileno()).st_size, width * height
    if header.format == "PNG":
        _check_chunks(file, length)
        fits = pixels * _png_bits(file) <= 8 * DEFLATED * length
    elif header.format == "TIFF":
        tags = header.tag_v2
        bits, ratio = sum(tags.get(BITS, (1,))), TIFF_RATIOS.get(tags.get(COMPRESSION, 1), OTHER_RATIO)
        fits = pixels * bits <= 8 * ratio * length
        across, down = (tags.get(name, 1) for name in (TILE_WIDTH, TILE_HEIGHT))
        if max((place for name in STRIPS for place in tags.get(name, ())), default=0) > length:
            raise ValueError("the file is broken or cut short")
        if across > max(2 * width, 4096) or down > max(2 * height, 4096):
            raise ValueError(f"its tiles are {across} x {down} pixels, but the image {width} x {height}")
    else:
        fits = pixels <= JPEG_PIXELS * length
    if not fits:
        raise ValueError(f"its {length} bytes can't hold {width} x {height} pixels: the file is broken or cut short")


def _check_chunks(file: BinaryIO, length: int) -> None:
    """Checks that no chunk of a PNG claims to reach beyond the end: decoders make room for what it claims."""
    start, place, name = file.tell(), 8, b""
    while name != b"IEND" and place + 8 <= length:
        file.seek(place)
        size, name = struct.unpack(">I4s", file.read(8))
        place += 12 + size
        if place > length:
            raise ValueError("the file is broken or cut short")
    file.seek(start)


def _png_bits(file: BinaryIO) -> int:
    place = file.tell()
    file.seek(24)  # the header chunk always comes first: signature, length, name, width, height, bit depth, colour type
    depth, colour_type = file.read(2)
    file.seek(place)
    return depth * PNG_SAMPLES.get(colour_type, 1)
