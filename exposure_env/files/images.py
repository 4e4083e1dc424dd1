"""Image files in and out: JPEG, PNG and TIFF, of 8 and 16 bits, with their EXIF data and colour profile; raw files in.

Pillow reads everything except 16-bit pixels, which OpenCV decodes. Apart from what the decoders themselves hold, no
second image of the size of the one returned is kept in memory.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from exposure_env.files import metadata as tag
from exposure_env.files.bounds import check_content
from exposure_env.files.encoders import encode_jpeg, encode_png, encode_tiff
from exposure_env.files.metadata import picked_exif, png_exif, upright_exif
from exposure_env.files.raw import RAW_SUFFIXES, develop, raw_size
from exposure_env.files.regular import opened
from exposure_env.files.whole import written_whole
from exposure_env.resizing import as_floats, shrink

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
MAX_PIXELS = 300_000_000  # 0.9 GB of 8-bit, 1.8 GB of 16-bit pixels
STRIP_PIXELS = 2**19  # taken at once from a decoder's image
_READERS = {
    b"\xff\xd8": JpegImagePlugin.JpegImageFile,
    b"\x89P": PngImagePlugin.PngImageFile,
    b"II": TiffImagePlugin.TiffImageFile,
    b"MM": TiffImagePlugin.TiffImageFile,
}
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "YCbCr"}
_ENCODERS = {".jpg": encode_jpeg, ".jpeg": encode_jpeg, ".png": encode_png, ".tif": encode_tiff, ".tiff": encode_tiff}


class ImageFile(NamedTuple):
    """An image as a file holds it.

    Attributes:
        pixels: (H, W, 3) uint8 or uint16, upright, red first. Treated as sRGB whatever `icc` says: the values are not
            converted, and the profile travels with them.
        alpha: (H, W) of the same dtype, the largest value being opaque; None if there is no transparency.
        exif: EXIF data with orientation 1 and without a preview picture: a TIFF structure, starting with "II" or "MM".
        icc: ICC profile for RGB.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None


def load_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """The pixels of a JPEG, PNG, TIFF or raw file, turned upright, with EXIF data and colour profile.

    The content decides the format, not the suffix, except for `raw.RAW_SUFFIXES`, which are developed (`raw.develop`).
    Grey and palette images become RGB. If a file holds several images, the first is read.

    Args:
        path: File to read.
        max_pixels: Limit on width times height, checked before memory is allocated for them. So is whether the file
            is long enough to hold them.

    Raises:
        ValueError: If it isn't a regular file, or is empty, broken, cut short, too large, of another format, or of a
            kind without plain RGB pixels: CMYK, Lab, floats, 16-bit TIFF with separate colour planes or premultiplied
            alpha. Or if it is a raw file and rawpy isn't installed.
        OSError: If there is no such file, or it may not be read.
    """
    with _opened(path) as (header, file):
        if header is None:
            _check_size(*raw_size(Path(path)), max_pixels)
            pixels, exif = develop(Path(path))
            return ImageFile(pixels, exif=upright_exif(exif)[1])
        return _decode(header, file, max_pixels)


def pixel_bytes(path: str | os.PathLike) -> int:
    """The bytes of the pixels that `load_image` would return, from the header alone; same errors if that is broken."""
    with _opened(path) as (header, file):
        width, height = header.size if header else raw_size(Path(path))
        return 3 * width * height * (2 if header is None or _has_16_bits(header, file) else 1)


def read_image(path: str | os.PathLike, max_side: int | None = None) -> np.ndarray:
    """The image in a file as (H, W, 3) float32 in [0, 1], sRGB-encoded, without its transparency.

    Args:
        path: File to read; see `load_image` for the kinds and the errors.
        max_side: Longer side [pixels] that larger images are shrunk to; None keeps the full size.
    """
    return as_floats(shrink(load_image(path).pixels, max_side))


def save_image(path: str | os.PathLike, image: ImageFile, quality: int = 95,
               ready: Callable[[Path], object] | None = None) -> None:
    """Writes an image with its EXIF data and colour profile; the suffix chooses the format.

    The file appears whole or not at all: it is written beside its final place and then moved over.

    Args:
        path: File ending in .jpg, .jpeg, .png, .tif or .tiff; replaced if it exists.
        image: What to write. JPEG rounds 16 bits to 8 and cannot hold transparency.
        quality: Quality of a JPEG, 1 to 100; colour is not subsampled.
        ready: Called with the complete file beside the final place, just before it is moved over.

    Raises:
        ValueError: If the suffix is another one, an array is of the wrong shape or dtype, the quality is out of range,
            or the format cannot hold something (transparency, a side above 65535 pixels or EXIF above 64 kB in a JPEG).
        OSError: If the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"cannot write {path}: the suffix must be one of {', '.join(SUFFIXES)}")
    pixels, alpha = image.pixels, image.alpha
    kind = f"pixels are {pixels.shape} {pixels.dtype}"
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"cannot write {path}: {kind}, but must be (H, W, 3) uint8 or uint16")
    if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype):
        raise ValueError(f"cannot write {path}: {kind}, but alpha is {alpha.shape} {alpha.dtype}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}, but must lie between 1 and 100")
    with written_whole(path, ready) as file:
        try:
            _ENCODERS[path.suffix.lower()](file, pixels, alpha, upright_exif(image.exif)[1], image.icc, quality)
        except Exception as error:  # Pillow raises exceptions of almost every type on odd metadata
            system = isinstance(error, OSError) and error.errno is not None  # Pillow's own have no number
            if system or isinstance(error, MemoryError):
                raise
            raise ValueError(f"cannot write {path}: {error}") from error


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Image.Image | None, BinaryIO]]:
    """The header, None for a raw file, and the open file; any error inside becomes a ValueError that names the file."""
    with opened(path) as file:
        try:
            if Path(path).suffix.lower() in RAW_SUFFIXES:
                yield None, file
                return
            start = file.read(2)
            file.seek(0)
            if start not in _READERS:
                raise ValueError("it is not a JPEG, PNG or TIFF file" if start else "the file is empty")
            with _READERS[start](file) as header:  # Image.open would apply a pixel limit of its own
                yield header, file
        except Exception as error:  # on broken files, decoders raise exceptions of almost every type
            raise ValueError(f"cannot read {path}: {error or type(error).__name__}") from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"it has {width} x {height} pixels, but the limit is {max_pixels}")


def _decode(header: Image.Image, file: BinaryIO, max_pixels: int) -> ImageFile:
    _check_size(*header.size, max_pixels)
    check_content(header, file)
    tags = header.tag_v2 if header.format == "TIFF" else {}
    if tags.get(254, 0) & 1 or 50706 in tags:  # "reduced resolution", or DNG's version
        raise ValueError("it is a camera's raw file, with only a preview to read; develop it first")
    exif = picked_exif(header.getexif()) if tags else None  # loading the pixels drops some of it
    if header.mode not in _EIGHT_BIT_MODES and not header.mode.startswith("I;16"):
        raise ValueError(f"its pixels are {header.mode}, but must be RGB or grey, of 8 or 16 bits")
    wide, kind = _has_16_bits(header, file), "RGBA" if header.has_transparency_data else "RGB"
    decoded = _decode_16_bits(file, tags) if wide else None
    if not wide:
        header.load()
    if not tags:  # EXIF data may follow a PNG's pixels
        exif = png_exif(file) if wide else header.info.get("exif")
    orientation, exif = upright_exif(exif)
    orientation = 1 if tags else orientation  # the decoders have turned a TIFF already
    if wide:
        pixels, alpha = _upright_16_bits(decoded, orientation)
    else:
        def strip(rows: slice) -> np.ndarray:
            size, box = (header.width, rows.stop - rows.start), (0, rows.start, header.width, rows.stop)
            some = header.resize(size, Image.Resampling.NEAREST, box)  # like crop, which has a limit of its own
            return np.asarray(some.convert(kind))

        pixels, alpha = _upright(strip, (header.height, header.width, len(kind)), np.uint8, orientation)
    icc = header.info.get("icc_profile")
    if icc and icc[16:20] != b"RGB ":  # a profile for grey does not fit the RGB pixels
        icc = None
    return ImageFile(pixels, alpha, exif, icc or None)


def _has_16_bits(header: Image.Image, file: BinaryIO) -> bool:
    if header.format == "PNG":
        place = file.tell()
        file.seek(24)  # the header chunk always comes first: signature, length, name, width, height, bit depth
        depth = file.read(1)
        file.seek(place)
        return depth == b"\x10"
    return header.format == "TIFF" and max(header.tag_v2.get(tag.BITS, (1,))) == 16


def _decode_16_bits(file: BinaryIO, tags: dict) -> np.ndarray:
    """The 16-bit pixels: grey, (H, W), or colour with blue first, (H, W, 3 or 4)."""
    if tags.get(tag.PLANES, 1) != 1 or tags.get(tag.EXTRA, (2,))[0] == 1:
        raise ValueError("16-bit TIFF with separate colour planes or premultiplied alpha is not supported")
    if tags.get(tag.PHOTOMETRIC) not in (None, 0, 1, 2) or set(tags.get(tag.SAMPLE_FORMAT, (1,))) != {1}:
        raise ValueError("16-bit TIFF must hold grey or RGB values, unsigned")
    name = str(file.name)
    if os.name == "posix" and name.isprintable() and tags.get(tag.ORIENTATION, 1) < 5:
        pixels = cv2.imread(name, cv2.IMREAD_UNCHANGED)
    else:  # needs memory for the file, but imread fails on some names and on TIFFs lying on their side
        pixels = cv2.imdecode(np.fromfile(name, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("the file is broken or cut short")
    return np.invert(pixels, out=pixels) if tags.get(tag.PHOTOMETRIC) == 0 else pixels  # white is zero


def _upright_16_bits(decoded: np.ndarray, orientation: int) -> tuple[np.ndarray, np.ndarray | None]:
    channels = decoded.shape[2] if decoded.ndim == 3 else 1
    colour = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[channels]
    in_place = decoded if channels == 3 and orientation == 1 else None
    shape = (*decoded.shape[:2], max(3, channels))
    return _upright(lambda rows: cv2.cvtColor(decoded[rows], colour), shape, np.uint16, orientation, in_place)


def _upright(strip: Callable[[slice], np.ndarray], shape: tuple[int, int, int], dtype: type, orientation: int,
             pixels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels and alpha, turned upright, from a function that gives rows of an image, (n, width, 3 or 4)."""
    height, width, channels = shape
    upright = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    pixels = np.empty((*upright, 3), dtype) if pixels is None else pixels
    alpha = np.empty(upright, dtype) if channels == 4 else None
    back = {6: 8, 8: 6}.get(orientation, orientation)
    rows = max(1, STRIP_PIXELS // width)
    for part in (slice(top, min(top + rows, height)) for top in range(0, height, rows)):
        values = strip(part)
        _turn(pixels, back)[part] = values[..., :3]
        if alpha is not None:
            _turn(alpha, back)[part] = values[..., 3]
    return pixels, alpha


def _turn(array: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    return array[:: -1 if orientation in (3, 4, 7, 8) else 1, :: -1 if orientation in (2, 3, 6, 7) else 1]
