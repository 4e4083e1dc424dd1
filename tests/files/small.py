"""Small images, their EXIF data, and files of them made by other libraries."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

DTYPES = [np.uint8, np.uint16]
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER, ORIENTATION, DATE, EXIF_IFD, GPS_IFD = 271, 274, 306, 34665, 34853
EXPOSURE_TIME, MAKER_NOTE, LATITUDE = 33434, 37500, 2


def noise(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def exif_data(orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    exif[MAKER], exif[DATE] = "Maker", "2024:05:06 07:08:09"
    if orientation is not None:
        exif[ORIENTATION] = orientation
    exif[EXIF_IFD] = {EXPOSURE_TIME: 0.004, MAKER_NOTE: b"secret notes" * 5}
    exif[GPS_IFD] = {1: "N", LATITUDE: (48.0, 51.0, 12.5)}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def assert_holds_exif(exif: Image.Exif) -> None:
    assert exif[MAKER] == "Maker"
    assert exif[DATE] == "2024:05:06 07:08:09"
    assert float(exif.get_ifd(EXIF_IFD)[EXPOSURE_TIME]) == pytest.approx(0.004)
    assert exif.get_ifd(EXIF_IFD)[MAKER_NOTE] == b"secret notes" * 5
    assert tuple(map(float, exif.get_ifd(GPS_IFD)[LATITUDE])) == (48.0, 51.0, 12.5)


def parsed(exif: bytes) -> Image.Exif:
    result = Image.Exif()
    result.load(b"Exif\0\0" + exif)
    return result


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
