"""Pixels as the bytes of a file, for a page."""

import io

import numpy as np
from PIL import Image

QUALITY = 90  # of JPEGs


def jpeg(pixels: np.ndarray, quality: int = QUALITY, *, subsampled: bool = False) -> bytes:
    """The JPEG file of (H, W, 3) uint8 pixels; `subsampled` keeps a quarter of the colour."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    return file.getvalue()
