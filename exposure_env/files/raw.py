"""Cameras' raw files, developed by LibRaw: an optional extra, `pip install "deepexposure-gym[raw]"`."""

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exposure_env.files.metadata import picked_exif

RAW_SUFFIXES = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2")


def raw_size(path: Path) -> tuple[int, int]:
    """The width and height of the developed photo [pixels], before or after it is turned; reads only the header.

    Raises:
        ValueError: If rawpy is missing; a `rawpy.LibRawError` if LibRaw cannot read the file.
    """
    with _opened(path) as raw:
        return raw.sizes.width, raw.sizes.height


def develop(path: Path) -> tuple[np.ndarray, bytes | None]:
    """The photo in a raw file, upright, with the camera's white balance and no other adjustment.

    There is no automatic brightening: exposing the photo is left to the agent.

    Returns:
        (H, W, 3) uint16, sRGB; and EXIF data, if the raw file is laid out as a TIFF (DNG, NEF, CR2, ARW), else None.

    Raises:
        ValueError: If rawpy is missing; a `rawpy.LibRawError` if LibRaw cannot read the file.
    """
    with _opened(path) as raw:
        pixels = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=(2.4, 12.92))
    return pixels, _exif(path)


def _opened(path: Path) -> AbstractContextManager[Any]:
    try:
        rawpy = importlib.import_module("rawpy")
    except ImportError as error:
        raise ValueError('raw files need rawpy: pip install "deepexposure-gym[raw]"') from error
    return rawpy.imread(str(path))


def _exif(path: Path) -> bytes | None:
    # Maker notes are left out: they point to places in the raw file.
    try:
        found = Image.Exif()
        with open(path, "rb") as file:
            found.load_from_fp(file)
            return picked_exif(found, maker_notes=False)
    except Exception:  # not laid out as a TIFF
        return None
