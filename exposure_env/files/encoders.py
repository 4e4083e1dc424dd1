"""Writing JPEG, PNG and TIFF files; the latter two strip by strip, without a second copy of the image in memory.

Pillow cannot write 16-bit RGB, OpenCV no metadata and tifffile no EXIF data, so PNG and TIFF are put together here.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from exposure_env.files.metadata import BITS, EXIF, EXTRA, GPS, ICC, PHOTOMETRIC, TEXTS
from exposure_env.threads import spread

STRIP_BYTES = 2**20
TOGETHER = 8  # strips that several threads compress at once


def encode_jpeg(file: BinaryIO, pixels: np.ndarray, alpha: np.ndarray | None, exif: bytes | None, icc: bytes | None,
                quality: int) -> None:
    """Writes a JPEG; 16 bits are rounded to 8.

    Args:
        file: Open for writing, at its start.
        pixels: (H, W, 3) uint8 or uint16.
        alpha: (H, W), same dtype, all opaque; or None.
        exif: EXIF data, starting with "II" or "MM".
        icc: Colour profile.
        quality: 1 to 100; colour is not subsampled.

    Raises:
        ValueError: If there is transparency, or more EXIF data than a JPEG can hold.
        OSError: If a JPEG cannot hold so large an image (without an error number), or the file cannot be written.
    """
    if alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        raise ValueError("JPEG cannot hold transparency; choose .png or .tif")
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    metadata = {"exif": b"Exif\0\0" + exif if exif else b"", "icc_profile": icc}
    Image.fromarray(pixels).save(file, "JPEG", quality=int(quality), subsampling=0, **metadata)


def encode_png(file: BinaryIO, pixels: np.ndarray, alpha: np.ndarray | None, exif: bytes | None, icc: bytes | None,
               _: int) -> None:
    """Writes a PNG; arguments as for `encode_jpeg`, but the quality is ignored."""
    height, width = pixels.shape[:2]
    colour_type = 2 if alpha is None else 6
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour_type, 0, 0, 0)
    PngImagePlugin.putchunk(file, b"IHDR", header)
    if icc:
        PngImagePlugin.putchunk(file, b"iCCP", b"ICC Profile\0\0", zlib.compress(icc))
    if exif:
        PngImagePlugin.putchunk(file, b"eXIf", exif)

    def deflate(rows: slice) -> tuple[np.ndarray, bytes]:
        lines = _filtered(_samples(pixels, alpha, rows))
        packer = zlib.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_RLE)  # quick, and hardly larger for photos
        return lines, packer.compress(lines) + packer.flush(zlib.Z_SYNC_FLUSH)  # ends on a byte: pieces can be joined

    checksum, start = 1, b"\x78\x01"
    for lines, packed in _spread(deflate, pixels, alpha):
        checksum = zlib.adler32(lines, checksum)
        PngImagePlugin.putchunk(file, b"IDAT", start, packed)
        start = b""
    PngImagePlugin.putchunk(file, b"IDAT", b"\x03\0", struct.pack(">I", checksum))  # a last, empty block
    PngImagePlugin.putchunk(file, b"IEND", b"")


def encode_tiff(file: BinaryIO, pixels: np.ndarray, alpha: np.ndarray | None, exif: bytes | None, icc: bytes | None,
                _: int) -> None:
    """Writes a TIFF; arguments as for `encode_jpeg`, but the quality is ignored.

    Pillow writes the directory, which is the hard part. The pixels follow in strips, as differences from pixel to
    pixel, deflated; then the directory is written once more, with the strips' true sizes.
    """

    def deflate(rows: slice) -> bytes:
        samples = _samples(pixels, alpha, rows)
        differences = samples.copy()
        differences[:, 1:] -= samples[:, :-1]  # wraps around, as it should
        return zlib.compress(differences.astype(differences.dtype.newbyteorder("<"), copy=False), 4)

    sizes = [0] * len(_strips(pixels, alpha))
    _tiff_directory(pixels, alpha, exif, icc, sizes).save(file)
    end = file.tell()
    sizes = [file.write(strip) for strip in _spread(deflate, pixels, alpha)]
    if end + sum(sizes) >= 2**32:
        raise ValueError("it takes more than the 4 GB that a TIFF can hold")
    file.seek(0)
    _tiff_directory(pixels, alpha, exif, icc, sizes).save(file)


def _tiff_directory(pixels: np.ndarray, alpha: np.ndarray | None, exif: bytes | None, icc: bytes | None,
                    sizes: list[int]) -> TiffImagePlugin.ImageFileDirectory_v2:
    # Its length does not depend on the sizes: these and the starts are 32-bit numbers.
    (height, width), channels = pixels.shape[:2], 3 if alpha is None else 4
    rows = _strips(pixels, alpha)[0].stop
    starts = tuple(np.cumsum([0, *sizes[:-1]]).tolist())  # after the directory; Pillow adds its length
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    bits = (8 * pixels.itemsize,) * channels
    directory.update({256: width, 257: height, BITS: bits, 259: 8, PHOTOMETRIC: 2})  # deflated, RGB
    directory.update({273: starts, 277: channels, 278: rows, 279: tuple(sizes), 317: 2})  # differences
    if alpha is not None:
        directory[EXTRA] = 2  # colours not multiplied by alpha
    if icc:
        directory[ICC] = icc
    directory.update(_writable_tags(exif))
    return directory


def _writable_tags(exif: bytes | None) -> dict[int, Any]:
    try:
        parsed, trial = Image.Exif(), TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
        parsed.load(b"Exif\0\0" + (exif or b""))
        tags = {tag: parsed[tag] for tag in TEXTS if tag in parsed}
        tags |= {tag: values for tag in (EXIF, GPS) if (values := parsed.get_ifd(tag))}
        trial.update(tags)
        trial.tobytes()
        return tags
    except Exception:  # odd values that cannot be written again do not spoil the photo
        return {}


def _strips(pixels: np.ndarray, alpha: np.ndarray | None) -> list[slice]:
    row = pixels[0].nbytes + (0 if alpha is None else alpha[0].nbytes)
    rows = min(max(1, STRIP_BYTES // row), len(pixels))
    return [slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows)]


def _spread(function: Callable, pixels: np.ndarray, alpha: np.ndarray | None) -> Iterator:
    """Yields the function's results for all strips, in order, computed a few strips at a time."""
    strips = _strips(pixels, alpha)
    for first in range(0, len(strips), TOGETHER):
        yield from spread(function, strips[first : first + TOGETHER])


def _samples(pixels: np.ndarray, alpha: np.ndarray | None, rows: slice) -> np.ndarray:
    return pixels[rows] if alpha is None else np.dstack([pixels[rows], alpha[rows]])


def _filtered(samples: np.ndarray) -> np.ndarray:
    # PNG's filter "sub": every byte, high bytes first, less that of the pixel to the left.
    count, width, channels = samples.shape
    big = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">"), copy=False))
    lines, pixel = big.view(np.uint8).reshape(count, -1), channels * samples.itemsize
    filtered = np.empty((count, 1 + lines.shape[1]), np.uint8)
    filtered[:, 0] = 1
    filtered[:, 1 : 1 + pixel] = lines[:, :pixel]
    np.subtract(lines[:, pixel:], lines[:, :-pixel], out=filtered[:, 1 + pixel :])
    return filtered
