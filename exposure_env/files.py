"""Image files in and out: JPEG, PNG and TIFF, of 8 and 16 bits, with their EXIF data and colour profile.

Pillow does all of it but 16-bit RGB pixels: those OpenCV decodes and encodes.
"""

import io
import os
import shutil
import struct
import uuid
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
MAX_PIXELS = 300_000_000  # 0.9 GB of 8-bit, 1.8 GB of 16-bit pixels

_READERS = {
    b"\xff\xd8": JpegImagePlugin.JpegImageFile,
    b"\x89P": PngImagePlugin.PngImageFile,
    b"II": TiffImagePlugin.TiffImageFile,
    b"MM": TiffImagePlugin.TiffImageFile,
}
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "YCbCr"}

# Numbers of TIFF tags, which EXIF shares. The texts: description, make, model, software, date, artist, copyright.
_BITS, _PHOTOMETRIC, _PLANES, _EXTRA, _SAMPLE_FORMAT = 258, 262, 284, 338, 339
_ORIENTATION, _ICC, _EXIF, _GPS = 274, 34675, 34665, 34853
_TEXTS = (270, 271, 272, 305, 306, 315, 33432)


class ImageFile(NamedTuple):
    """An image as files hold it.

    Attributes:
        pixels: (H, W, 3) uint8 or uint16, upright, red first. Taken for sRGB whatever ``icc`` says: the values
            are not converted, and the profile goes along with them.
        alpha: (H, W) of the same dtype, the largest value is opaque; None where there is no transparency.
        exif: EXIF data with orientation 1 and without a preview picture: a TIFF structure from "II" or "MM" on.
        icc: ICC profile for RGB.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None


def load_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Return the pixels of a JPEG, PNG or TIFF file, turned upright, with EXIF data and colour profile.

    The content decides on the format, not the suffix. Grey and palette images become RGB. Of a file with several
    images the first is read.

    Args:
        path: File to read.
        max_pixels: Limit on width times height, checked before memory is taken for them.

    Raises:
        ValueError: The file is empty, broken, cut short, too large, of another format, or of a kind that has no plain
            RGB pixels: CMYK, Lab, floats, 16-bit TIFF with separate colour planes or premultiplied alpha.
        OSError: There is no such file, or it may not be read.
    """
    with open(path, "rb") as file:
        start = file.read(2)
        file.seek(0)
        try:
            if start not in _READERS:
                raise ValueError("it is not a JPEG, PNG or TIFF file" if start else "the file is empty")
            with _READERS[start](file) as header:  # Image.open would apply a pixel limit of its own
                return _decode(header, file, max_pixels)
        except Exception as error:  # decoders meet broken files with exceptions of almost every type
            raise ValueError(f"cannot read {path}: {error or type(error).__name__}") from error


def read_image(path: str | os.PathLike, max_side: int | None = None) -> np.ndarray:
    """Return an image file as (H, W, 3) float32 in [0, 1], sRGB-encoded, without its transparency.

    Args:
        path: File to read; see `load_image` for the kinds and the errors.
        max_side: Longer side in pixels that larger images are shrunk to; None keeps the full size.
    """
    pixels = shrink(load_image(path).pixels, max_side)
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def shrink(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """Return (H, W, 3) pixels with their longer side shrunk to ``max_side`` by averaging areas; smaller ones as is."""
    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    if max_side < 1:
        raise ValueError(f"max_side is {max_side}, but must be 1 or more")
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def save_image(path: str | os.PathLike, image: ImageFile, quality: int = 95) -> None:
    """Write an image with its EXIF data and colour profile; the suffix chooses the format.

    The file appears at once or not at all: it is written beside the final place and then moved over.

    Args:
        path: File ending in .jpg, .jpeg, .png, .tif or .tiff; replaced where it exists.
        image: What to write. JPEG rounds 16 bits to 8 and cannot hold transparency.
        quality: Quality of a JPEG, 1 to 100; colour is not subsampled.

    Raises:
        ValueError: Another suffix, arrays of the wrong shape or dtype, a quality out of range, transparency in a JPEG,
            or something that the format cannot hold (a JPEG side above 65535 pixels or EXIF data above 64 kB).
        OSError: The file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot write {path}: the suffix must be one of {', '.join(SUFFIXES)}")
    pixels, alpha = image.pixels, image.alpha
    kind = f"pixels are {pixels.shape} {pixels.dtype}"
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"cannot write {path}: {kind}, but must be (H, W, 3) uint8 or uint16")
    if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype):
        raise ValueError(f"cannot write {path}: {kind}, but alpha is {alpha.shape} {alpha.dtype}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}, but must lie between 1 and 100")
    image = image._replace(exif=_upright_exif(image.exif)[1])
    encode = {".png": _encode_png, ".tif": _encode_tiff, ".tiff": _encode_tiff}.get(suffix, _encode_jpeg)
    try:
        data = encode(image, quality)
    except (ValueError, OSError, struct.error, cv2.error) as error:
        raise ValueError(f"cannot write {path}: {error}") from error
    _write(path, data)


def _decode(header: Image.Image, file: BinaryIO, max_pixels: int) -> ImageFile:
    width, height = header.size
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"it has {width} x {height} pixels, but the limit is {max_pixels}")
    tags = header.tag_v2 if header.format == "TIFF" else {}
    if tags.get(254, 0) & 1 or 50706 in tags:  # "reduced resolution", or DNG's version
        raise ValueError("it is a camera's raw file, with only a preview to read; develop it first")
    exif = _tiff_exif(header) if tags else None  # loading the pixels drops some of it
    if header.mode not in _EIGHT_BIT_MODES and not header.mode.startswith("I;16"):
        raise ValueError(f"its pixels are {header.mode}, but must be RGB or grey, of 8 or 16 bits")
    if _has_16_bits(header, file):
        pixels, alpha = _decode_16_bits(file, tags)
        if not tags:
            header.load()  # EXIF data may follow a PNG's pixels
    else:
        kind = "RGBA" if header.has_transparency_data else "RGB"
        pixels = np.asarray(header.convert(kind))
        pixels, alpha = pixels[..., :3], pixels[..., 3] if kind == "RGBA" else None
    orientation, exif = _upright_exif(exif if tags else header.info.get("exif"))
    if not tags:  # for TIFF, the decoders have done it
        pixels, alpha = (_turn(array, orientation) for array in (pixels, alpha))
    icc = header.info.get("icc_profile")
    if icc and icc[16:20] != b"RGB ":  # a profile for grey does not fit the RGB pixels
        icc = None
    contiguous = [None if array is None else np.ascontiguousarray(array) for array in (pixels, alpha)]
    return ImageFile(*contiguous, exif, icc or None)


def _has_16_bits(header: Image.Image, file: BinaryIO) -> bool:
    if header.format == "PNG":
        file.seek(24)  # the header chunk comes first, always: signature, length, name, width, height, bit depth
        return file.read(1) == b"\x10"
    return header.format == "TIFF" and max(header.tag_v2.get(_BITS, (1,))) == 16


def _decode_16_bits(file: BinaryIO, tags: dict) -> tuple[np.ndarray, np.ndarray | None]:
    if tags.get(_PLANES, 1) != 1 or tags.get(_EXTRA, (2,))[0] == 1:
        raise ValueError("16-bit TIFF with separate colour planes or premultiplied alpha is not supported")
    if tags.get(_PHOTOMETRIC) not in (None, 0, 1, 2) or set(tags.get(_SAMPLE_FORMAT, (1,))) != {1}:
        raise ValueError("16-bit TIFF must hold grey or RGB values, unsigned")
    file.seek(0)
    pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("the file is broken or cut short")
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero
        pixels = ~pixels
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1), None
    return pixels[..., 2::-1], pixels[..., 3] if pixels.shape[2] == 4 else None


def _turn(array: np.ndarray | None, orientation: int) -> np.ndarray | None:
    if array is None:
        return None
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    return array[:: -1 if orientation in (3, 4, 7, 8) else 1, :: -1 if orientation in (2, 3, 6, 7) else 1]


def _upright_exif(exif: bytes | None) -> tuple[int, bytes | None]:
    # The orientation, and the data with orientation 1. Changed in place: writing the directory anew would move the
    # maker notes, whose own offsets would point astray. Broken EXIF data does not spoil the photo.
    data, orientation = bytearray((exif or b"").removeprefix(b"Exif\0\0")), 1
    order = "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", data, entry) == (_ORIENTATION,):
                (orientation,) = struct.unpack_from(order + "H", data, entry + 8)
                struct.pack_into(order + "H", data, entry + 8, 1)
        # The next directory describes the preview picture, which a retouched photo no longer looks like.
        struct.pack_into(order + "I", data, start + 2 + 12 * count, 0)
    except struct.error:
        return 1, None
    return orientation, bytes(data)


def _tiff_exif(header: Image.Image) -> bytes | None:
    # A TIFF has its EXIF data among the tags that lay out the file itself: pick what belongs to the photo.
    try:
        found, kept = header.getexif(), Image.Exif()
        kept.update({tag: found[tag] for tag in _TEXTS if tag in found})
        kept.update({tag: values for tag in (_EXIF, _GPS) if (values := found.get_ifd(tag))})
        return kept.tobytes() if kept else None
    except Exception:  # odd values that cannot be written again do not spoil the photo
        return None


def _encode_jpeg(image: ImageFile, quality: int) -> bytes:
    pixels, alpha, exif, icc = image
    if alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        raise ValueError("JPEG cannot hold transparency; choose .png or .tif")
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    file = io.BytesIO()
    metadata = {"exif": b"Exif\0\0" + exif if exif else b"", "icc_profile": icc}
    Image.fromarray(pixels).save(file, "JPEG", quality=int(quality), subsampling=0, **metadata)
    return file.getvalue()


def _encode_png(image: ImageFile, _: int) -> bytes:
    # OpenCV since Pillow cannot write 16-bit RGB; the metadata go in between, for only newer OpenCVs can write them.
    pixels, alpha, exif, icc = image
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if alpha is None else np.dstack([pixels[..., ::-1], alpha])
    done, data = cv2.imencode(".png", bgr)
    if not done:
        raise ValueError("OpenCV cannot encode it as PNG")
    file = io.BytesIO()
    file.write(data[:33])  # the signature and the header chunk
    if icc:
        PngImagePlugin.putchunk(file, b"iCCP", b"ICC Profile\0\0", zlib.compress(icc))
    if exif:
        PngImagePlugin.putchunk(file, b"eXIf", exif)
    file.write(data[33:])
    return file.getvalue()


def _encode_tiff(image: ImageFile, _: int) -> bytes:
    # Pillow cannot write 16-bit RGB, OpenCV no metadata and tifffile no EXIF data: Pillow writes the directory, which
    # is the hard part, and the pixels follow in strips, as differences from pixel to pixel, deflated.
    pixels, alpha, exif, icc = image
    samples = pixels if alpha is None else np.dstack([pixels, alpha])
    height, width, channels = samples.shape
    rows = max(1, 2**20 // samples[0].nbytes)
    strips = []
    for top in range(0, height, rows):
        differences = samples[top : top + rows].copy()
        differences[:, 1:] -= samples[top : top + rows, :-1]  # wraps around, as it should
        strips.append(zlib.compress(differences.astype(differences.dtype.newbyteorder("<"), copy=False), 4))
    sizes = [len(strip) for strip in strips]
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    bits = (8 * samples.itemsize,) * channels
    starts = tuple(np.cumsum([0, *sizes[:-1]]).tolist())  # of the strips, after the directory
    directory.update({256: width, 257: height, _BITS: bits, 259: 8, _PHOTOMETRIC: 2})  # deflated, RGB
    directory.update({273: starts, 277: channels, 278: rows, 279: tuple(sizes), 317: 2})  # differences
    if alpha is not None:
        directory[_EXTRA] = 2  # colours not multiplied by alpha
    if icc:
        directory[_ICC] = icc
    parsed = Image.Exif()
    parsed.load(b"Exif\0\0" + (exif or b""))
    directory.update({tag: parsed[tag] for tag in _TEXTS if tag in parsed})
    directory.update({tag: values for tag in (_EXIF, _GPS) if (values := parsed.get_ifd(tag))})
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + b"".join(strips)


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(beside, "xb") as file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
