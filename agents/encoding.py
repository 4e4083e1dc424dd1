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


def webp(pixels: np.ndarray, quality: int | None = None) -> bytes:
    """The WebP file of (H, W, 3) uint8 pixels, 0 to 100 in quality, or without loss if that is None."""
    file = io.BytesIO()
    how = {"lossless": True} if quality is None else {"quality": quality}
    Image.fromarray(pixels).save(file, "WEBP", **how)
    return file.getvalue()


def indexed_png(places: np.ndarray, colors: np.ndarray) -> bytes:
    """The PNG file of (H, W) places in a palette of up to 256 colours, (K, 3) uint8."""
    file, image = io.BytesIO(), Image.fromarray(places.astype(np.uint8))
    image.putpalette(colors.astype(np.uint8).ravel().tolist())
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
